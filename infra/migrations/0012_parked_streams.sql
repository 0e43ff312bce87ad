-- Streams of which an event waits to be applied, by the projection that readers see: what they show of
-- such a stream is what it was before that event.
CREATE VIEW read.parked_streams AS
SELECT projection, stream
FROM projection.dead_letters AS letters JOIN projection.versions AS versions USING (projection, version)
WHERE letters.state = 'parked' AND versions.state = 'live';
