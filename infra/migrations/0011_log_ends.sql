-- How fresh the read models are, also while nothing happens. A projection whose checkpoint stands
-- behind the log's end as it was seen at some moment has applied all that was acknowledged before it.
CREATE TABLE projection.log_ends (
    shard   int PRIMARY KEY,
    -- Shards of the log.
    shards  int NOT NULL,
    -- Where the shard ended at the last few looks of the projector that serves it, the newest last:
    -- the offset after its last commit.
    ends    bigint[] NOT NULL,
    -- Moments before those looks, by the clock of this server.
    seen_at timestamptz[] NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

CREATE OR REPLACE VIEW read.positions AS
SELECT projection, version, shard, log_id, next_offset, log_end, applied_at,
       CASE WHEN next_offset >= log_end THEN 0::double precision
            ELSE extract(epoch FROM now() - coalesce(last_event_at, applied_at))::double precision
       END AS lag_seconds,
       -- All that was acknowledged before it is applied.
       (SELECT max(look.at) FROM unnest(log_ends.ends, log_ends.seen_at) AS look (log_end, at)
        WHERE look.log_end <= next_offset) AS level_at,
       -- When the log's end was seen last.
       log_ends.seen_at[cardinality(log_ends.seen_at)] AS end_seen_at,
       log_ends.shards AS shard_count
FROM projection.checkpoints JOIN projection.versions USING (projection, version)
     LEFT JOIN projection.log_ends USING (shard)
WHERE state = 'live';
