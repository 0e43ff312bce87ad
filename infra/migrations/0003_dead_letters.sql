-- Events that a projection cannot apply, what waits behind them, and what operators did about it.

-- Grows when an operator changes what is parked or corrected in the shard: part of the
-- compare-and-set, so that no batch is written by a projector that has not seen the change.
ALTER TABLE projection.checkpoints ADD COLUMN letters bigint NOT NULL DEFAULT 0;

-- One row per event that did not apply.
CREATE TABLE projection.dead_letters (
    id          uuid        PRIMARY KEY,
    projection  text        NOT NULL,
    version     int         NOT NULL,
    shard       int         NOT NULL,
    stream      text        NOT NULL,
    -- Where the event stands in the shard: the end of its commit and its place in it.
    commit_end  bigint      NOT NULL,
    place       int         NOT NULL,
    event_id    uuid        NOT NULL,
    event_type  text        NOT NULL,
    revision    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    value       bytea       NOT NULL,
    state       text        NOT NULL CHECK (state IN ('parked', 'retried', 'edited', 'skipped')),
    error       text        NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT now(),
    settled_at  timestamptz
);
-- A key is held up by one event at a time.
CREATE UNIQUE INDEX dead_letters_parked ON projection.dead_letters (projection, version, stream)
    WHERE state = 'parked';
CREATE INDEX dead_letters_newest ON projection.dead_letters (parked_at DESC, id DESC);

-- The events of parked keys in their order, the first one included.
CREATE TABLE projection.parked_events (
    projection  text        NOT NULL,
    version     int         NOT NULL,
    shard       int         NOT NULL,
    stream      text        NOT NULL,
    commit_end  bigint      NOT NULL,
    place       int         NOT NULL,
    event_id    uuid        NOT NULL,
    event_type  text        NOT NULL,
    revision    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    value       bytea       NOT NULL,
    PRIMARY KEY (projection, version, stream, commit_end, place)
);
CREATE INDEX parked_events_shard ON projection.parked_events (projection, version, shard);

-- What operators decided about single events. It holds for all versions of a projection, so that a
-- rebuild does not forget it.
CREATE TABLE projection.corrections (
    projection   text        NOT NULL,
    event_id     uuid        NOT NULL,
    shard        int         NOT NULL,
    stream       text        NOT NULL,
    revision     bigint      NOT NULL,
    event_type   text        NOT NULL,
    -- What is read instead of the event's own value; null: the event is skipped.
    value        bytea,
    corrected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, event_id)
);
CREATE INDEX corrections_shard ON projection.corrections (projection, shard);

-- Who did what, when and why. It is only ever added to.
CREATE TABLE projection.dead_letter_audit (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letter     uuid        NOT NULL,
    action     text        NOT NULL CHECK (action IN ('retry', 'edit', 'skip')),
    actor      text        NOT NULL,
    reason     text,
    at         timestamptz NOT NULL DEFAULT now(),
    -- Whether the event, and how many behind it, came to apply.
    outcome    text        NOT NULL,
    before     jsonb       NOT NULL,
    after      jsonb       NOT NULL
);
CREATE INDEX dead_letter_audit_letter ON projection.dead_letter_audit (letter, id);
REVOKE UPDATE, DELETE ON projection.dead_letter_audit FROM tradewind_projector;
