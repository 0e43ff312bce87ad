-- The vault keeps the keys that personal data in events is encrypted with. Its role sees nothing
-- else, and no other role sees it.

DO $$
BEGIN
    CREATE ROLE tradewind_vault NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

CREATE SCHEMA vault;
GRANT USAGE ON SCHEMA vault TO tradewind_vault;
ALTER DEFAULT PRIVILEGES IN SCHEMA vault
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tradewind_vault;
