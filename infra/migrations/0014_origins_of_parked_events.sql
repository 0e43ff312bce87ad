-- Who caused a parked event, and where it stands in the log: what a projection that keeps events for
-- themselves writes when it is tried again. Those that were parked before have none.
ALTER TABLE projection.parked_events ADD COLUMN origin jsonb;
