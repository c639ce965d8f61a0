-- What many replicas need of each other, as in ../postgres. The embedded store has one replica at a time, but the same
-- rules.

ALTER TABLE replica ADD COLUMN fence INTEGER NOT NULL DEFAULT 1;
ALTER TABLE replica ADD COLUMN draining_since INTEGER;
ALTER TABLE agent_session ADD COLUMN shed_at INTEGER;

CREATE TABLE schema_contract (
    single          INTEGER PRIMARY KEY CHECK (single = 1),
    compatible_from INTEGER NOT NULL
) STRICT;
INSERT INTO schema_contract VALUES (1, 3);
