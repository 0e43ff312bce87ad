-- Who has read what tells of a person, as it is and not as pseudonyms. The query API adds rows and can neither see
-- nor change them; only the owner can.
CREATE SCHEMA audit;

CREATE TABLE audit.personal_reads (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    read_at timestamptz NOT NULL DEFAULT now(),
    -- The actor, as events name it.
    reader  text NOT NULL,
    -- What was asked for.
    request text NOT NULL
);
CREATE INDEX personal_reads_read_at ON audit.personal_reads USING brin (read_at);

GRANT USAGE ON SCHEMA audit TO tradewind_query;
GRANT INSERT (reader, request) ON audit.personal_reads TO tradewind_query;
