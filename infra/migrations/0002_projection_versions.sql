-- Versions of projections: several of one may stand side by side, and one of them is read.

CREATE TABLE projection.versions (
    projection text NOT NULL,
    -- Grows with each rebuild; names the schema `<projection>_v<version>`. Never used twice.
    version    int NOT NULL,
    -- The `VERSION` of the code that makes these rows of events. Only such code feeds them.
    fold       int NOT NULL,
    state      text NOT NULL CHECK (state IN
                   ('copying', 'indexing', 'catching_up', 'standby', 'live', 'dropped')),
    paused     boolean NOT NULL DEFAULT false,
    -- Events per second that a build may take; null is as fast as it goes.
    throttle   int CHECK (throttle > 0),
    -- What is still to be done once the build has caught up.
    verify     boolean NOT NULL DEFAULT false,
    switch     boolean NOT NULL DEFAULT false,
    -- The verification that was done because `verify` asked for it.
    verification uuid,
    -- The views that readers see while it is live: [[name, query]].
    views      jsonb NOT NULL DEFAULT '[]',
    -- Statements that make the indexes which a build does without.
    indexes    jsonb NOT NULL DEFAULT '[]',
    -- The version that was live before it, to which a rollback leads.
    replaced   int,
    -- Why what was asked for does not go on.
    problem    text,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version)
);
CREATE UNIQUE INDEX versions_live ON projection.versions (projection) WHERE state = 'live';

-- What is there was made by releases that knew one version: the lowest is the one that is read.
INSERT INTO projection.versions (projection, version, fold, state)
SELECT name, version, version,
       CASE WHEN version = min(version) OVER (PARTITION BY name) THEN 'live' ELSE 'standby' END
FROM (
    SELECT substring(nspname FROM '^(.+)_v\d+$') AS name,
           substring(nspname FROM '_v(\d+)$')::int AS version
    FROM pg_namespace WHERE nspname ~ '^[a-z_]+_v\d+$'
) AS made;

ALTER TABLE projection.checkpoints
    -- The shard is still to be read in bulk.
    ADD COLUMN copying boolean NOT NULL DEFAULT false,
    -- Records per second, as of `metered_at`.
    ADD COLUMN rate double precision NOT NULL DEFAULT 0,
    ADD COLUMN metered_at timestamptz,
    ADD COLUMN metered_offset bigint;

-- Readers ask about what they read: the live versions.
CREATE OR REPLACE VIEW read.positions AS
SELECT projection, version, shard, log_id, next_offset, log_end, applied_at,
       CASE WHEN next_offset >= log_end THEN 0::double precision
            ELSE extract(epoch FROM now() - coalesce(last_event_at, applied_at))::double precision
       END AS lag_seconds
FROM projection.checkpoints JOIN projection.versions USING (projection, version)
WHERE state = 'live';

-- Proofs that a read model is what the log makes of it.
CREATE TABLE projection.verifications (
    id          uuid PRIMARY KEY,
    projection  text NOT NULL,
    version     int NOT NULL,
    -- Keys to look at; null is all.
    sample      int CHECK (sample > 0),
    state       text NOT NULL CHECK (state IN
                    ('waiting', 'running', 'equal', 'different', 'failed')),
    -- From 0 to 1.
    progress    double precision NOT NULL DEFAULT 0,
    report      jsonb,
    problem     text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX ON projection.verifications (projection, version, created_at);
