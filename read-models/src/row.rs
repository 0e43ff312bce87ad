//! How the events of one stream become one row.

use chrono::{DateTime, Utc};
use domain::Event;
use sqlx::{FromRow, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    cell::{Cell, Column, Get, Kind, Table},
    inapplicable::Inapplicable,
    sum::Sums,
};

/// The column of the last event's revision, which every row has and no fold minds.
const REVISION: &str = "revision";

/// The row that the events of one stream fold into. Its fields have the names of columns.
pub trait Row: for<'r> FromRow<'r, PgRow> + Clone + Send + Sync + 'static {
    /// The key of a stream, as it stands in the table.
    type Key: Key;

    const TABLE: &'static str;
    /// Its columns by name, `revision` aside. The first is the stream's key, and the primary key.
    const COLUMNS: &'static [(&'static str, Get<Self>)];

    /// What the event makes of the row of its stream; `None` is the absent row. What it adds to rows
    /// that many streams share goes into the origin's `sums`.
    ///
    /// # Errors
    /// If the event does not follow from the row: then it is parked with all that follow on it.
    fn evolve(
        row: Option<Self>,
        event: &Event,
        origin: &mut Origin<'_, Self::Key>,
    ) -> Evolved<Self>;
}

/// The row after an event, if there is one.
pub type Evolved<R> = Result<Option<R>, Inapplicable>;

impl Table {
    #[must_use]
    pub(crate) fn of<R: Row>() -> Self {
        let columns = R::COLUMNS.iter().map(|(name, get)| Column { name, kind: get.kind() });
        let revision = Column { name: REVISION, kind: Kind::Long };
        Self { name: R::TABLE, keys: 1, columns: columns.chain([revision]).collect() }
    }
}

/// Where an event comes from, in the types of columns, and what it may add to.
#[derive(Debug)]
pub struct Origin<'k, K> {
    pub key: &'k K,
    pub recorded_at: DateTime<Utc>,
    pub sums: &'k mut Sums,
}

/// What a stream's key can be as a column.
pub trait Key: Clone + Send + Sync + 'static {
    /// **Invariant:** no two texts are the same key, so streams never share a row.
    fn parse(text: &str) -> Option<Self>;
}

impl Key for String {
    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Key for Uuid {
    fn parse(text: &str) -> Option<Self> {
        let id = Self::try_parse(text).ok()?;
        let mut written = Self::encode_buffer();
        (id.hyphenated().encode_lower(&mut written) == text).then_some(id)
    }
}

/// The place of one stream's row, whatever fold it is of: the row, or none.
pub trait Slot: Send + Sync {
    /// Takes the row as it is stored.
    ///
    /// # Errors
    /// If no projector writes such a row.
    fn read(&mut self, stored: &PgRow) -> Result<(), sqlx::Error>;

    /// Folds an event in.
    ///
    /// # Errors
    /// If it does not fit; then the row is gone, and whoever needs it has kept a copy.
    fn evolve(
        &mut self,
        event: &Event,
        revision: i64,
        recorded_at: DateTime<Utc>,
        sums: &mut Sums,
    ) -> Result<(), Inapplicable>;

    /// Of the last event that was folded into the row, if there is one.
    fn revision(&self) -> Option<i64>;

    /// The row in the order of its table's columns; nothing if there is none.
    ///
    /// # Errors
    /// If a document has no form as JSON.
    fn cells(&self) -> Result<Vec<Cell<'_>>, sqlx::Error>;

    fn copy(&self) -> Box<dyn Slot>;
}

#[derive(Clone)]
pub(crate) struct Held<R: Row> {
    key: R::Key,
    /// With the revision of the last event in it.
    pub(crate) row: Option<(R, i64)>,
}

pub(crate) fn hold<R: Row>(key: R::Key) -> Held<R> {
    Held { key, row: None }
}

pub(crate) fn slot<R: Row>(key: R::Key) -> Box<dyn Slot> {
    Box::new(hold::<R>(key))
}

impl<R: Row> Slot for Held<R> {
    fn read(&mut self, stored: &PgRow) -> Result<(), sqlx::Error> {
        self.row = Some((R::from_row(stored)?, stored.try_get(REVISION)?));
        Ok(())
    }

    fn evolve(
        &mut self,
        event: &Event,
        revision: i64,
        recorded_at: DateTime<Utc>,
        sums: &mut Sums,
    ) -> Result<(), Inapplicable> {
        let mut origin = Origin { key: &self.key, recorded_at, sums };
        let row = self.row.take().map(|(row, _)| row);
        self.row = R::evolve(row, event, &mut origin)?.map(|row| (row, revision));
        Ok(())
    }

    fn revision(&self) -> Option<i64> {
        self.row.as_ref().map(|(_, revision)| *revision)
    }

    fn cells(&self) -> Result<Vec<Cell<'_>>, sqlx::Error> {
        let Some((row, revision)) = &self.row else { return Ok(Vec::new()) };
        let cells = R::COLUMNS.iter().map(|(_, get)| get.cell(row));
        let cells = cells.chain([Ok(Cell::Long(*revision))]);
        cells.collect::<Result<_, _>>().map_err(|error| sqlx::Error::Encode(error.into()))
    }

    fn copy(&self) -> Box<dyn Slot> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use domain::StreamType;
    use serde::de::DeserializeSeed;
    use serde_json::json;

    use super::*;
    use crate::{stock::STOCK, testing::recorded_at};

    #[test]
    fn a_row_has_the_revision_of_its_last_event() {
        let event = json!({ "type": "received", "data": { "quantity": 1 } });
        let event = StreamType::Stock.deserialize(&event).unwrap();
        let mut slot = STOCK.folds[0].slot("A").unwrap();
        for revision in [1, 2] {
            slot.evolve(&event, revision, recorded_at(revision), &mut Sums::default()).unwrap();
            assert_eq!(slot.revision(), Some(revision));
            assert_eq!(slot.cells().unwrap().last(), Some(&Cell::Long(revision)));
        }
    }

    #[test]
    fn an_id_is_written_in_one_way() {
        let id = Uuid::from_u128(0xabc);
        assert_eq!(Uuid::parse(&id.to_string()), Some(id));
        for other in [id.simple().to_string(), id.to_string().to_uppercase(), String::new()] {
            assert_eq!(<Uuid as Key>::parse(&other), None, "{other}");
        }
    }
}
