-- Settled dead letters and their audit only grow. The projector cannot change the audit; what it may
-- do is to have what is old removed, whole, by the owner of the table. What operators decided stays:
-- corrections are read for ever.

CREATE INDEX dead_letters_settled ON projection.dead_letters (settled_at)
    WHERE settled_at IS NOT NULL;

-- Removes letters, and what was done with them, that were settled so many days ago: up to a thousand
-- at once, the oldest first. Tells how many.
CREATE FUNCTION projection.forget_dead_letters(days int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF days < 30 THEN
        RAISE EXCEPTION 'settled dead letters are kept for 30 days at least, not for %', days
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH old AS (
        SELECT id FROM projection.dead_letters
        WHERE state <> 'parked' AND settled_at < now() - make_interval(days => days)
        ORDER BY settled_at LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), notes AS (
        DELETE FROM projection.dead_letter_audit WHERE letter IN (SELECT id FROM old)
    ), letters AS (
        DELETE FROM projection.dead_letters WHERE id IN (SELECT id FROM old) RETURNING 1
    )
    SELECT count(*) INTO forgotten FROM letters;
    RETURN forgotten;
END
$$;
REVOKE EXECUTE ON FUNCTION projection.forget_dead_letters FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projection.forget_dead_letters TO tradewind_projector;
