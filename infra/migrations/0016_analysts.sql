-- Analysts read views made for people, in a schema of their own, and nothing else. What a view shows is
-- data of its projection, which the projector makes and switches with the version.
DO $$
BEGIN
    CREATE ROLE tradewind_analyst NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

CREATE SCHEMA analytics;
COMMENT ON SCHEMA analytics IS
    'Views for analysts: flat, a comment on each column, money in whole units of its currency.';
GRANT USAGE ON SCHEMA analytics TO tradewind_analyst;
GRANT USAGE, CREATE ON SCHEMA analytics TO tradewind_projector;
GRANT ALL ON SCHEMA analytics TO tradewind_migrator;

-- Who switches a version does not wait for a report that reads the old one: it is cancelled. That takes
-- membership, which brings no right that the projector has not anyway.
--
-- The limits are a start: a session may set others for itself. What it cannot get around are its rights
-- and the number of connections. Where the migrator may not do this, an administrator can.
DO $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY ARRAY[
        'GRANT tradewind_analyst TO tradewind_projector',
        'ALTER ROLE tradewind_analyst CONNECTION LIMIT 8',
        'ALTER ROLE tradewind_analyst SET default_transaction_read_only = on',
        'ALTER ROLE tradewind_analyst SET statement_timeout = ''60s''',
        'ALTER ROLE tradewind_analyst SET idle_in_transaction_session_timeout = ''60s''',
        'ALTER ROLE tradewind_analyst SET lock_timeout = ''5s''',
        'ALTER ROLE tradewind_analyst SET max_parallel_workers_per_gather = 0',
        'ALTER ROLE tradewind_analyst SET search_path = analytics'
    ] LOOP
        BEGIN
            EXECUTE statement;
        -- The second is what PostgreSQL says while the migration of another database does the same.
        EXCEPTION WHEN insufficient_privilege OR internal_error THEN
            RAISE WARNING 'not done: %', statement;
        END;
    END LOOP;
END
$$;

-- The key of the pseudonyms that stand for what tells of a person, as the two blocks of an HMAC with
-- SHA-256. One row. The owner of the views reads it, analysts do not.
CREATE TABLE projection.pseudonym_key (
    inner_block bytea NOT NULL CHECK (length(inner_block) = 64),
    outer_block bytea NOT NULL CHECK (length(outer_block) = 64),
    one_row     boolean PRIMARY KEY DEFAULT true CHECK (one_row)
);

ALTER TABLE projection.versions
    -- The views that analysts see while it is live: [{name, query, comments}].
    -- `views_release` is theirs, too.
    ADD COLUMN analytics jsonb NOT NULL DEFAULT '[]';
