-- What many replicas need of each other: fences, so that nobody acts after its own death; sheds, so that whoever is sent
-- elsewhere keeps its session; and what an audit looks at. A server of the release before may serve meanwhile.

-- First, for it reads the whole history while releases wait for it (they try again), and the locks below would make
-- everybody wait. Stays are appended about in the order of their ends, so a summary of each few pages finds the late
-- ones, and costs a release next to nothing.
CREATE INDEX agent_session_history_end ON agent_session_history USING brin (upper(lifetime))
    WITH (pages_per_range = 32, autosummarize = on);

ALTER TABLE replica
    -- Grows with each registration. What was asked for under a former one is refused.
    ADD COLUMN fence          bigint NOT NULL DEFAULT 1,
    ADD COLUMN draining_since timestamptz;

ALTER TABLE agent_session
    -- What the latest claim was asked for under; here for the same reason as resume_id.
    ADD COLUMN fence   bigint,
    -- When its socket was told to go elsewhere; null once it is claimed again.
    ADD COLUMN shed_at timestamptz;

-- Whether a replica may take sessions: its lease runs, and it asked under the fence that it has now. Volatile, as
-- `presence_replica_holds` is.
CREATE FUNCTION presence_replica_claims(replica_id uuid, fence bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM replica r
        WHERE r.id = presence_replica_claims.replica_id AND r.fence = presence_replica_claims.fence
          AND r.lease_until > clock_timestamp()
    );
END
$$;

-- One row: the lowest schema that a build must know to serve on this database, however much newer the database is. A
-- migration that takes away something raises it to the first schema that did without; one that only adds leaves it.
CREATE TABLE schema_contract (
    compatible_from bigint NOT NULL
);
CREATE UNIQUE INDEX schema_contract_single ON schema_contract ((true));
INSERT INTO schema_contract VALUES (3);
