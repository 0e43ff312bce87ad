ALTER TABLE projection.versions
    -- A version may be built as if operators had corrected nothing before: it reads only what they
    -- correct from then on. Null: all corrections.
    ADD COLUMN corrections_since timestamptz,
    -- The release that the views are of. An older one that starts again leaves them alone.
    ADD COLUMN views_release int[] NOT NULL DEFAULT '{0,0,0}';
