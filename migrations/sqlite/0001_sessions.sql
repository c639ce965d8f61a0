-- The embedded store's tables: those of PostgreSQL (see ../postgres), with times as microseconds since 1970, replica ids
-- as text, and a stay as two columns. One connection writes, so there is nobody to race with.

CREATE TABLE agent_session (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
    agent_id     TEXT    NOT NULL,
    classroom_id TEXT    NOT NULL,
    replica_id   TEXT    NOT NULL,
    generation   INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    claimed_at   INTEGER NOT NULL,
    UNIQUE (classroom_id, agent_id)
) STRICT;

CREATE INDEX agent_session_page ON agent_session (classroom_id, id);
CREATE INDEX agent_session_replica ON agent_session (replica_id);

CREATE TABLE agent_session_history (
    id           INTEGER PRIMARY KEY, -- the session's: it ends once
    agent_id     TEXT    NOT NULL,
    classroom_id TEXT    NOT NULL,
    replica_id   TEXT    NOT NULL,
    entered_at   INTEGER NOT NULL,
    left_at      INTEGER NOT NULL CHECK (left_at > entered_at)
) STRICT;

CREATE INDEX agent_session_history_page ON agent_session_history (classroom_id, id);
CREATE INDEX agent_session_history_key ON agent_session_history (classroom_id, agent_id, left_at);

CREATE TABLE replica (
    id          TEXT    PRIMARY KEY,
    label       TEXT    UNIQUE, -- null once another process has registered it
    address     TEXT    NOT NULL,
    draining    INTEGER NOT NULL DEFAULT 0,
    renewed_at  INTEGER NOT NULL,
    lease_until INTEGER NOT NULL -- the smallest integer: retired, nobody waits for its agents to return
) STRICT;

CREATE TABLE outbox (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    operation    TEXT    NOT NULL CHECK (operation IN ('entered', 'left')),
    session_id   INTEGER NOT NULL,
    agent_id     TEXT    NOT NULL,
    classroom_id TEXT    NOT NULL,
    replica_id   TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    published_at INTEGER
) STRICT;

CREATE INDEX outbox_waiting_of_replica ON outbox (replica_id, position) WHERE published_at IS NULL;
CREATE INDEX outbox_waiting_of_key ON outbox (classroom_id, agent_id, position) WHERE published_at IS NULL;
CREATE INDEX outbox_waiting ON outbox (created_at) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
