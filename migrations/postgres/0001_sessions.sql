-- Who is present, who was, what there is to tell of it, and which process holds whom.
--
-- Ids are plain ASCII words, so every id column is compared by bytes: faster, and the order in which batches lock their
-- rows is the same on every server whatever its locale.

CREATE TABLE agent_session (
    id                  bigserial   PRIMARY KEY,
    agent_id            text        COLLATE "C" NOT NULL,
    classroom_id        text        COLLATE "C" NOT NULL,
    replica_id          uuid        NOT NULL,
    generation          bigint      NOT NULL DEFAULT 1,
    started_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What the latest claim asked to resume. ON CONFLICT sees nothing of a claim but the row it proposes.
    resume_id           bigint,
    -- Who held the key before the latest claim; null where nobody did. An upsert can give back only the row as it is
    -- now, so the row remembers.
    previous_id         bigint,
    previous_replica_id uuid,
    previous_generation bigint,
    previous_started_at timestamptz,
    UNIQUE (classroom_id, agent_id)
) WITH (fillfactor = 80);

CREATE INDEX agent_session_page ON agent_session (classroom_id, id);
CREATE INDEX agent_session_replica ON agent_session (replica_id);

CREATE TABLE agent_session_history (
    id           bigint    PRIMARY KEY, -- the session's: it ends once
    agent_id     text      COLLATE "C" NOT NULL,
    classroom_id text      COLLATE "C" NOT NULL,
    replica_id   uuid      NOT NULL,
    lifetime     tstzrange NOT NULL CHECK (NOT isempty(lifetime) AND NOT upper_inf(lifetime) AND NOT lower_inf(lifetime))
);

CREATE INDEX agent_session_history_page ON agent_session_history (classroom_id, id);
CREATE INDEX agent_session_history_key ON agent_session_history (classroom_id, agent_id, upper(lifetime));

CREATE TABLE replica (
    id          uuid        PRIMARY KEY,
    label       text        UNIQUE, -- null once another process has registered it
    address     text        NOT NULL,
    draining    boolean     NOT NULL DEFAULT false,
    renewed_at  timestamptz NOT NULL,
    lease_until timestamptz NOT NULL -- -infinity: retired, nobody waits for its agents to return
);

CREATE TABLE outbox (
    position     bigserial   PRIMARY KEY,
    operation    text        NOT NULL CHECK (operation IN ('entered', 'left')),
    session_id   bigint      NOT NULL,
    agent_id     text        COLLATE "C" NOT NULL,
    classroom_id text        COLLATE "C" NOT NULL,
    replica_id   uuid        NOT NULL, -- who wrote it, and publishes it first
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
);

CREATE INDEX outbox_waiting ON outbox (position) WHERE published_at IS NULL;
CREATE INDEX outbox_waiting_of_replica ON outbox (replica_id, position) WHERE published_at IS NULL;
CREATE INDEX outbox_waiting_of_key ON outbox (classroom_id, agent_id, position) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

-- Whether a replica still holds its sessions against a claim from elsewhere.
-- Volatile on purpose, as the next one is: each query of a volatile function sees what was committed before it, while
-- the statement around it keeps the snapshot from before it waited for a row's lock.
CREATE FUNCTION presence_replica_holds(replica_id uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM replica r
        WHERE r.id = presence_replica_holds.replica_id AND NOT r.draining AND r.lease_until > clock_timestamp()
    );
END
$$;

-- The lifetime that goes to history: it begins where the key's former stay ended at the earliest, and lasts at least a
-- microsecond, so that no two stays of one key overlap and none is empty. Called with the key's row locked.
CREATE FUNCTION presence_lifetime(classroom_id text, agent_id text, started_at timestamptz, ended_at timestamptz)
RETURNS tstzrange LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    begins timestamptz;
BEGIN
    SELECT greatest(presence_lifetime.started_at, max(upper(h.lifetime))) INTO begins
    FROM agent_session_history h
    WHERE h.classroom_id = presence_lifetime.classroom_id AND h.agent_id = presence_lifetime.agent_id;
    RETURN tstzrange(begins, greatest(presence_lifetime.ended_at, begins + interval '1 microsecond'), '[)');
END
$$;
