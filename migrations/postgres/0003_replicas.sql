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

-- A standby that lagged and was promoted does not know the latest ids, and would give them to others. So before anybody
-- uses a connection, both sequences are moved past everything that can have been drawn: once for each new timeline.
--
-- One row: where ids were drawn last.
CREATE TABLE id_origin (
    origin text NOT NULL
);
CREATE UNIQUE INDEX id_origin_single ON id_origin ((true));

-- The cluster and its timeline, which changes with every promotion and is known at once (the control file has it only
-- after a checkpoint). The cluster, for a dump that is restored elsewhere may find the same timeline there. Null where a
-- server does not tell: one that is only like PostgreSQL keeps its sequences by means of its own.
CREATE FUNCTION presence_id_origin() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT system_identifier FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
    RETURN NULL;
END
$$;

INSERT INTO id_origin VALUES (coalesce(presence_id_origin(), 'unknown'));

-- Called first on every connection; a promotion ends those to the old primary, and a standby is refused until it is
-- promoted, so none is older than the timeline it is used on. Of many callers one updates the row; the others wait for it
-- and find it done. The sequences move before that is committed: if it is lost, they move again.
--
-- A million is more than is drawn in any lag that one fails over with: 1,000 ids a second for a quarter of an hour. And it
-- is nothing against the 2^53 up to which JavaScript counts exactly: nine thousand million failovers.
CREATE FUNCTION presence_follow_failover() RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
    margin constant bigint := 1000000;
    here text;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the server is a standby' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    here := presence_id_origin();
    UPDATE id_origin SET origin = here WHERE origin <> here;
    IF FOUND THEN
        PERFORM setval('agent_session_id_seq', nextval('agent_session_id_seq') + margin),
                setval('outbox_position_seq', nextval('outbox_position_seq') + margin);
    END IF;
END
$$;

-- It runs with its owner's rights, since a server may draw from the sequences and not set them. So it looks for names
-- where these tables are and nowhere else, and not everybody may call it.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION presence_follow_failover() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;
REVOKE EXECUTE ON FUNCTION presence_follow_failover() FROM PUBLIC;
