-- How names are sorted: as the root of Unicode's collation has it, with `a` and `A` and `ä` side by side,
-- whatever locale the database was made with. It is deterministic: names that only look alike differ.
-- Its order is that of the server's ICU; after an upgrade of that, see docs/operations.md.
DO $$
BEGIN
    CREATE COLLATION read.people (provider = icu, locale = 'und');
EXCEPTION WHEN feature_not_supported THEN
    RAISE EXCEPTION 'names are sorted with ICU, which this PostgreSQL or the encoding of this database lacks'
        USING ERRCODE = 'feature_not_supported', DETAIL = SQLERRM,
            HINT = 'Use a server that was built with ICU, and a database in UTF8.';
END
$$;
