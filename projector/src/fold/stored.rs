//! Folds a batch of events per key in memory: each row that a batch touches is read once, at most,
//! and written once, whatever number of events it takes.
//!
//! **Invariant:** a row never takes an event twice or out of order: the event's revision follows on
//! the row's, or the fold ends with an error (`follows`).
//!
//! Rows that a batch has written are kept for the next one, which then need not read them. Why they are
//! what is stored: rows change only in transactions that move the checkpoint (batches, whoever's; a build
//! that starts over) or its count of changes to the dead letters (operators). So if a batch's
//! compare-and-set finds both as the last own batch has left them, nobody has touched the rows since. If
//! it does not, or if it is not known whether the last batch is in, the writer has no kept rows any more:
//! it gives them out with each try, and gets them back with a commit that was answered.

use std::{collections::hash_map::Entry, sync::Arc};

use read_models::{Fold, Inapplicable, Projection, Slot, Sums, Table};
use rustc_hash::{FxHashMap, FxHashSet};

use super::follows;
use crate::{
    event::{CorrectedEvent, RecordedEvent},
    rows::{Changes, Months, Tables},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    /// These do not fit: the first one of each key that has one. What has been written of the others
    /// is to be rolled back.
    #[error("{} of the batch's events do not apply", .0.len())]
    Inapplicable(Vec<Unfit>),
    #[error("PostgreSQL did not take the rows")]
    Database(#[from] sqlx::Error),
}

/// An event, by its index, that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub index: usize,
    pub why: NotApplied,
}

/// Why an event does not become rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotApplied {
    #[error("its value cannot be decoded: {0}")]
    Undecodable(Arc<str>),
    #[error(transparent)]
    Inapplicable(#[from] Inapplicable),
}

/// Rows that are kept of one fold in one shard. Where there would be more, all are forgotten.
const KEPT_MAX: usize = 1_024;

/// Rows as the transactions of the last batches have left them, by fold and key of their stream.
#[derive(Default)]
pub(crate) struct KeptRows {
    folds: Vec<KeptOfFold>,
    /// They have tables.
    months: Months,
}

type KeptOfFold = FxHashMap<Box<str>, Box<dyn Slot>>;

/// Writes what the events make of the tables. It takes rows that are kept instead of reading them, and
/// keeps those that it writes.
///
/// # Errors
/// Then the transaction is to be rolled back, and what is kept to be forgotten.
pub(crate) async fn fold(
    projection: &Projection,
    tables: &mut Tables<'_>,
    events: &[CorrectedEvent<'_>],
    kept: &mut KeptRows,
) -> Result<(), FoldError> {
    let mut unfit = Vec::new();
    for (index, fold) in projection.folds.iter().enumerate() {
        if let Some(table) = fold.table() {
            write(fold, &table, tables, events, kept.of_fold(index), &mut unfit).await?;
        }
    }
    if !unfit.is_empty() {
        return Err(FoldError::Inapplicable(first_of_each_key(unfit, events)));
    }
    for table in projection.entries() {
        let leaves = |it: &&CorrectedEvent<'_>| {
            projection.folds.iter().any(|fold| is_of(fold, it) && fold.appends_to(table))
        };
        let shard = tables.shard();
        let entries: Vec<_> = events.iter().filter(leaves).map(|it| it.entry(shard)).collect();
        tables.append(table, &entries, &mut kept.months).await?;
    }
    Ok(())
}

fn is_of(fold: &Fold, corrected: &CorrectedEvent<'_>) -> bool {
    corrected.event.stream.stream_type() == Some(fold.stream)
}

/// Writes what those of the events that the fold wants make of its tables, or tells which do not fit:
/// then it has written nothing.
async fn write(
    fold: &Fold,
    table: &Table,
    tables: &mut Tables<'_>,
    events: &[CorrectedEvent<'_>],
    kept: &mut KeptOfFold,
    unfit: &mut Vec<Unfit>,
) -> Result<(), sqlx::Error> {
    let before = unfit.len();
    let wanted: Vec<_> = events.iter().enumerate().filter(|(_, it)| is_of(fold, it)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::of(fold, wanted.iter().map(|(_, it)| it.event));
    rows.take_kept(kept);
    rows.load(table, tables).await?;
    for (index, corrected) in wanted {
        if let Err(why) = rows.take(corrected) {
            unfit.push(Unfit { index, why });
        }
    }
    if unfit.len() == before {
        tables.store(fold, table, rows.changes(), &rows.sums).await?;
        rows.keep(kept);
    }
    Ok(())
}

impl KeptRows {
    fn of_fold(&mut self, index: usize) -> &mut KeptOfFold {
        if self.folds.len() <= index {
            self.folds.resize_with(index + 1, KeptOfFold::default);
        }
        &mut self.folds[index]
    }
}

/// What follows on an event that does not fit cannot fit either, which says nothing about it.
fn first_of_each_key(mut unfit: Vec<Unfit>, events: &[CorrectedEvent<'_>]) -> Vec<Unfit> {
    unfit.sort_by_key(|unfit| unfit.index);
    let mut keys = FxHashSet::default();
    unfit.retain(|unfit| keys.insert(&events[unfit.index].event.stream));
    unfit
}

/// The rows that a batch touches, by key: first as they are stored, then as its events leave them.
#[derive(Default)]
struct Rows<'f> {
    rows: FxHashMap<&'f str, Touched>,
    /// Keys of the streams that begin before the batch.
    begun: Vec<&'f str>,
    sums: Sums,
}

struct Touched {
    slot: Box<dyn Slot>,
    stored: bool,
}

impl<'f> Rows<'f> {
    /// With a place for the row of each stream whose key the fold can store.
    fn of(fold: &Fold, events: impl Iterator<Item = &'f RecordedEvent>) -> Self {
        let mut all = Self::default();
        for event in events {
            let key = event.stream.key();
            if let Entry::Vacant(vacant) = all.rows.entry(key)
                && let Some(slot) = fold.slot(key)
            {
                vacant.insert(Touched { slot, stored: false });
                // A stream's first event finds no row.
                if event.revision > 1 {
                    all.begun.push(key);
                }
            }
        }
        all
    }

    /// Takes the rows that are kept of streams that begin before the batch.
    fn take_kept(&mut self, kept: &mut KeptOfFold) {
        let Self { rows, begun, .. } = self;
        begun.retain(|key| match (kept.remove(*key), rows.get_mut(key)) {
            (Some(slot), Some(touched)) => {
                *touched = Touched { slot, stored: true };
                false
            }
            _ => true,
        });
    }

    /// Keeps the rows that are stored now.
    fn keep(self, kept: &mut KeptOfFold) {
        if kept.len() + self.rows.len() > KEPT_MAX {
            kept.clear();
        }
        let stored = self.rows.into_iter().filter(|(_, row)| row.slot.revision().is_some());
        kept.extend(stored.take(KEPT_MAX).map(|(key, row)| (key.into(), row.slot)));
    }

    /// Reads the other rows of streams that begin before the batch.
    async fn load(&mut self, table: &Table, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        if self.begun.is_empty() {
            return Ok(());
        }
        for (key, row) in tables.load(table, &self.begun).await? {
            if let Some(touched) = self.rows.get_mut(&*key) {
                touched.slot.read(&row)?;
                touched.stored = true;
            }
        }
        Ok(())
    }

    fn take(&mut self, corrected: &CorrectedEvent<'_>) -> Result<(), NotApplied> {
        let &CorrectedEvent { event, decoded, .. } = corrected;
        let decoded =
            decoded.as_ref().map_err(|error| NotApplied::Undecodable(Arc::clone(error)))?;
        let touched = self.rows.get_mut(event.stream.key()).ok_or(Inapplicable::MalformedKey)?;
        follows(&*touched.slot, corrected)?;
        let evolved =
            touched.slot.evolve(decoded, event.revision, event.recorded_at, &mut self.sums);
        Ok(evolved?)
    }

    fn changes(&self) -> Changes<'_> {
        let mut changes = Changes::default();
        for (key, Touched { slot, stored }) in &self.rows {
            match (slot.revision(), stored) {
                (Some(_), true) => changes.updated.push(&**slot),
                (Some(_), false) => changes.created.push(&**slot),
                (None, true) => changes.deleted.push(key),
                (None, false) => {}
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use read_models::stock::STOCK;

    use super::*;

    /// How many rows a batch of these events reads, and the revision of its last row if all of them fit.
    fn fold(stream: &str, revisions: &[i64], kept: &mut KeptOfFold) -> (usize, Option<i64>) {
        let sample = |revision: &i64| {
            RecordedEvent::sample(stream, *revision, "received", r#"{"quantity": 1}"#)
        };
        let events: Vec<_> = revisions.iter().map(sample).collect();
        let mut rows = Rows::of(&STOCK.folds[0], events.iter());
        rows.take_kept(kept);
        let to_read = rows.begun.len();
        let taken = events.iter().all(|event| rows.take(&event.as_recorded()).is_ok());
        let revision = rows.rows.values().next().and_then(|row| row.slot.revision());
        rows.keep(kept);
        (to_read, revision.filter(|_| taken))
    }

    #[test]
    fn a_row_that_was_just_written_is_not_read_again_and_takes_no_event_twice() {
        let mut kept = KeptOfFold::default();
        assert_eq!(fold("stock/A", &[1, 2], &mut kept), (0, Some(2)));
        assert_eq!(fold("stock/A", &[3, 4], &mut kept), (0, Some(4)));
        assert_eq!(fold("stock/A", &[4, 5], &mut kept), (0, None));
        kept.clear();
        assert_eq!(fold("stock/A", &[5, 6], &mut kept).0, 1);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = KeptOfFold::default();
        for n in 0..3_000 {
            fold(&format!("stock/{n}"), &[1], &mut kept);
            assert!((1..=KEPT_MAX).contains(&kept.len()));
        }
    }
}
