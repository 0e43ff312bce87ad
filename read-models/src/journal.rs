//! The journal: every event that counts, by its stream, for whoever asks what happened to one thing.
//!
//! A row is what the log has of an event: its type and its data as they were written, so that no
//! release has to make the rows of another anew. Who reads them lifts them to the newest version. Personal
//! texts are among them; who shows them to others shows pseudonyms.
//!
//! There is no row per stream. One would have to be changed with each event, which costs more than the
//! row that is added; the last event of a stream is the one that no other follows on.

mod flat;

use domain::StreamType;
use serde::ser::Error;

use crate::{
    Entry, EntryTable, Fold,
    Get::{Int, Json, Long, Text, Time, Uuid, UuidOrNull},
    Projection,
};

pub const JOURNAL: Projection = Projection {
    name: "journal",
    version: 1,
    // Rows come in the order of time, nearly: that is what the small index is for. The first one is that
    // of streams, the second that of streams that changed.
    tables: r#"
        CREATE TABLE {schema}.events (
            key            text COLLATE "C" NOT NULL,
            kind           text COLLATE "C" NOT NULL,
            revision       bigint NOT NULL,
            id             uuid NOT NULL,
            type           text COLLATE "C" NOT NULL,
            recorded_at    timestamptz NOT NULL,
            shard          int NOT NULL,
            next_offset    bigint NOT NULL,
            seq            bigint NOT NULL,
            index          int NOT NULL,
            command_id     uuid NOT NULL,
            correlation_id uuid,
            causation_id   uuid,
            actor          text COLLATE "C" NOT NULL,
            data           jsonb NOT NULL
        ) PARTITION BY RANGE (recorded_at);
        CREATE UNIQUE INDEX ON {schema}.events (key, kind, revision, recorded_at);
        CREATE INDEX ON {schema}.events (kind, recorded_at);
        CREATE INDEX ON {schema}.events USING brin (recorded_at);
    "#,
    views: &[(
        "events",
        "SELECT kind, key, kind || '/' || key AS stream, revision, id, type, recorded_at, shard,
                next_offset, seq, index, command_id, coalesce(correlation_id, command_id) AS correlation_id,
                coalesce(causation_id, command_id) AS causation_id, actor, data
         FROM {schema}.events",
    )],
    analytics: &[flat::EVENTS, flat::STOCK_MOVEMENTS],
    folds: &FOLDS,
};

/// Streams of all types leave their events.
const FOLDS: [Fold; StreamType::ALL.len()] = {
    let mut folds = [Fold::of_entries(StreamType::ALL[0], TABLES); StreamType::ALL.len()];
    let mut index = 0;
    while index < folds.len() {
        folds[index] = Fold::of_entries(StreamType::ALL[index], TABLES);
        index += 1;
    }
    folds
};

const TABLES: &[&EntryTable] = &[&EVENTS];

static EVENTS: EntryTable = EntryTable {
    name: "events",
    keys: 3,
    is_parted_by_month: true,
    columns: &[
        ("key", Text(|entry| entry.stream.key())),
        ("kind", Text(|entry| entry.stream.stream_type().map_or("", StreamType::as_str))),
        ("revision", Long(|entry| entry.revision)),
        ("id", Uuid(|entry| entry.id.uuid())),
        ("type", Text(|entry| &entry.event_type)),
        ("recorded_at", Time(|entry| entry.recorded_at)),
        ("shard", Int(|entry| entry.place.shard)),
        ("next_offset", Long(|entry| entry.place.next_offset)),
        ("seq", Long(|entry| entry.place.seq)),
        ("index", Int(|entry| entry.place.index)),
        ("command_id", Uuid(|entry| entry.provenance.command_id.uuid())),
        (
            "correlation_id",
            UuidOrNull(|entry| other(entry, entry.provenance.correlation_id.uuid())),
        ),
        ("causation_id", UuidOrNull(|entry| other(entry, entry.provenance.causation_id.uuid()))),
        ("actor", Text(|entry| &entry.provenance.actor)),
        ("data", Json(data)),
    ],
};

/// Where it is not the command's own id, which it mostly is.
fn other(entry: &Entry, id: uuid::Uuid) -> Option<uuid::Uuid> {
    (id != entry.provenance.command_id.uuid()).then_some(id)
}

fn data(entry: &Entry) -> Result<String, serde_json::Error> {
    String::from_utf8(entry.data.to_vec()).map_err(serde_json::Error::custom)
}

#[cfg(test)]
mod tests {
    use domain::{
        envelope::Provenance,
        id::{CausationId, CommandId, CorrelationId, EventId},
    };

    use super::*;
    use crate::{Cell, Place, testing::recorded_at};

    fn entry(stream: &str, data: &'static [u8]) -> Entry {
        let id = uuid::Uuid::from_u128;
        Entry {
            id: EventId::new(id(1)),
            stream: stream.parse().expect("a stream"),
            revision: 3,
            recorded_at: recorded_at(3),
            event_type: "tradewind.stock.received.v1".into(),
            data: data.into(),
            place: Place { shard: 2, next_offset: 9, seq: 7, index: 1 },
            provenance: Provenance {
                command_id: CommandId::new(id(2)),
                correlation_id: CorrelationId::new(id(2)),
                causation_id: CausationId::new(id(4)),
                actor: "guest".into(),
                traceparent: None,
            },
        }
    }

    #[test]
    fn a_row_is_the_event_as_it_was_written() {
        let entry = entry("stock/A-1", br#"{"quantity": 7}"#);
        let text = |text: &str| Cell::Text(text.to_owned().into());
        let id = |id: u128| Cell::Uuid(uuid::Uuid::from_u128(id));
        let expected = [
            text("A-1"),
            text("stock"),
            Cell::Long(3),
            id(1),
            text("tradewind.stock.received.v1"),
            Cell::Time(recorded_at(3)),
            Cell::Int(2),
            Cell::Long(9),
            Cell::Long(7),
            Cell::Int(1),
            id(2),
            Cell::Null,
            id(4),
            text("guest"),
            Cell::Json(r#"{"quantity": 7}"#.to_owned()),
        ];
        assert_eq!(EVENTS.cells(&entry).unwrap(), expected);
        assert_eq!(EVENTS.table().columns.len(), expected.len());
    }

    #[test]
    fn bytes_that_are_no_text_are_no_row() {
        assert!(EVENTS.cells(&entry("stock/A-1", b"\xff")).is_err());
    }

    #[test]
    fn streams_of_every_type_leave_their_events_in_one_table() {
        let streams = JOURNAL.streams();
        assert!(StreamType::ALL.iter().all(|kind| streams.contains(kind)));
        assert_eq!(JOURNAL.entries().len(), 1);
        assert!(JOURNAL.folds.iter().all(|fold| !fold.has_rows()));
    }
}
