-- Roles, schemas and checkpoints. The tables of projections come with the projector.

-- Roles belong to the whole server. Another database's migration may create them in this very
-- moment, which shows as either of the two errors.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tradewind_migrator', 'tradewind_projector', 'tradewind_query'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

-- Stable views that the query API reads; they run with their owner's rights.
CREATE SCHEMA read;
-- What the projector keeps for itself.
CREATE SCHEMA projection;

-- How far each shard is applied, advanced by compare-and-set in the transaction that applies it.
CREATE TABLE projection.checkpoints (
    projection    text        NOT NULL,
    version       int         NOT NULL,
    shard         int         NOT NULL,
    log_id        text,
    next_offset   bigint      NOT NULL,
    epoch         bigint      NOT NULL,
    claim         text,
    last_seq      bigint      NOT NULL,
    -- The offset after the shard's last record, as far as the projector knows.
    log_end       bigint      NOT NULL DEFAULT 0,
    -- When the last applied event was recorded.
    last_event_at timestamptz,
    applied_at    timestamptz NOT NULL DEFAULT now(),
    -- When a projector last said that it serves the shard.
    seen_at       timestamptz NOT NULL DEFAULT now(),
    -- Why the projection does not go on here, if it does not.
    halted        text,
    PRIMARY KEY (projection, version, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

-- Behind the log's end, the lag is the age of what was applied last; at its end there is none.
CREATE VIEW read.positions AS
SELECT projection, version, shard, log_id, next_offset, log_end, applied_at,
       CASE WHEN next_offset >= log_end THEN 0::double precision
            ELSE extract(epoch FROM now() - coalesce(last_event_at, applied_at))::double precision
       END AS lag_seconds
FROM projection.checkpoints;

-- The query role sees what schema `read` shows and nothing else.
GRANT USAGE ON SCHEMA read TO tradewind_query;
GRANT SELECT ON ALL TABLES IN SCHEMA read TO tradewind_query;

-- The projector makes a schema for each version of a projection and the views in front of it.
GRANT USAGE, CREATE ON SCHEMA read, projection TO tradewind_projector;
GRANT SELECT ON ALL TABLES IN SCHEMA read TO tradewind_projector;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA projection TO tradewind_projector;
GRANT ALL ON SCHEMA read, projection TO tradewind_migrator;

-- What comes later is to be seen, too, whether the owner or the projector makes it. Speaking for a
-- role takes membership, which superusers have of all.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'tradewind_projector', 'MEMBER') THEN
        EXECUTE format('GRANT tradewind_projector TO %I', current_user);
    END IF;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO tradewind_projector', current_database());
    EXECUTE format('GRANT ALL ON DATABASE %I TO tradewind_migrator', current_database());
END
$$;
ALTER DEFAULT PRIVILEGES IN SCHEMA read
    GRANT SELECT ON TABLES TO tradewind_query, tradewind_projector;
ALTER DEFAULT PRIVILEGES FOR ROLE tradewind_projector IN SCHEMA read
    GRANT SELECT ON TABLES TO tradewind_query;
ALTER DEFAULT PRIVILEGES IN SCHEMA projection
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tradewind_projector;
