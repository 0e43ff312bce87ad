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

use domain::Event;
use read_models::{Fold, Inapplicable, Projection, Slot, Sums};
use rustc_hash::{FxHashMap, FxHashSet};

use super::follows;
use crate::{
    event::{CorrectedEvent, RecordedEvent},
    rows::{Changes, Tables},
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
pub(crate) struct KeptRows(Vec<KeptOfFold>);

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
    mut kept: Option<&mut KeptRows>,
) -> Result<(), FoldError> {
    let mut unfit = Vec::new();
    for (index, fold) in projection.folds.iter().enumerate() {
        let kept = kept.as_deref_mut().map(|kept| kept.of_fold(index));
        write(fold, tables, events, kept, &mut unfit).await?;
    }
    if unfit.is_empty() {
        return Ok(());
    }
    Err(FoldError::Inapplicable(first_of_each_key(unfit, events)))
}

/// Writes what those of the events that the fold wants make of its tables, or tells which do not fit:
/// then it has written nothing.
async fn write(
    fold: &Fold,
    tables: &mut Tables<'_>,
    events: &[CorrectedEvent<'_>],
    mut kept: Option<&mut KeptOfFold>,
    unfit: &mut Vec<Unfit>,
) -> Result<(), sqlx::Error> {
    let before = unfit.len();
    let mut rows = Rows::default();
    let inputs = rows.inputs(fold, events, unfit);
    if inputs.is_empty() {
        return Ok(());
    }
    if let Some(kept) = kept.as_deref_mut() {
        rows.take_kept(kept);
    }
    rows.load(fold, tables).await?;
    for input in &inputs {
        if let Err(cause) = rows.take(input) {
            unfit.push(Unfit { index: input.index, why: cause.into() });
        }
    }
    if unfit.len() == before {
        tables.store(fold, rows.changes(), &rows.sums).await?;
        if let Some(kept) = kept {
            rows.keep(kept);
        }
    }
    Ok(())
}

impl KeptRows {
    fn of_fold(&mut self, index: usize) -> &mut KeptOfFold {
        if self.0.len() <= index {
            self.0.resize_with(index + 1, KeptOfFold::default);
        }
        &mut self.0[index]
    }
}

/// What follows on an event that does not fit cannot fit either, which says nothing about it.
fn first_of_each_key(mut unfit: Vec<Unfit>, events: &[CorrectedEvent<'_>]) -> Vec<Unfit> {
    unfit.sort_by_key(|unfit| unfit.index);
    let mut keys = FxHashSet::default();
    unfit.retain(|unfit| keys.insert(&events[unfit.index].event.stream));
    unfit
}

/// An event that the fold can take.
struct Input<'f> {
    index: usize,
    corrected: CorrectedEvent<'f>,
    decoded: &'f Event,
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
    /// The events of such streams that can be folded, with a place for the row of each; the others of
    /// them are unfit.
    fn inputs(
        &mut self,
        fold: &Fold,
        events: &[CorrectedEvent<'f>],
        unfit: &mut Vec<Unfit>,
    ) -> Vec<Input<'f>> {
        let mut inputs = Vec::with_capacity(events.len());
        let of_stream =
            |it: &CorrectedEvent<'_>| it.event.stream.stream_type() == Some(fold.stream);
        for (index, corrected) in events.iter().enumerate().filter(|(_, it)| of_stream(it)) {
            let &CorrectedEvent { event, decoded, .. } = corrected;
            let fits = as_decoded(decoded).and_then(|it| self.make_room(fold, event).map(|()| it));
            match fits {
                Ok(decoded) => inputs.push(Input { index, corrected: *corrected, decoded }),
                Err(why) => unfit.push(Unfit { index, why }),
            }
        }
        inputs
    }

    fn make_room(&mut self, fold: &Fold, event: &'f RecordedEvent) -> Result<(), NotApplied> {
        let key = event.stream.key();
        if let Entry::Vacant(vacant) = self.rows.entry(key) {
            let slot = fold.slot(key).ok_or(Inapplicable::MalformedKey)?;
            vacant.insert(Touched { slot, stored: false });
            // A stream's first event finds no row.
            if event.revision > 1 {
                self.begun.push(key);
            }
        }
        Ok(())
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
    async fn load(&mut self, fold: &Fold, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        if self.begun.is_empty() {
            return Ok(());
        }
        for (key, row) in tables.load(fold, &self.begun).await? {
            if let Some(touched) = self.rows.get_mut(&*key) {
                touched.slot.read(&row)?;
                touched.stored = true;
            }
        }
        Ok(())
    }

    fn take(&mut self, input: &Input<'_>) -> Result<(), Inapplicable> {
        let Input { corrected, decoded, .. } = input;
        let event = corrected.event;
        // There is room for each key of the batch.
        let Some(Touched { slot, .. }) = self.rows.get_mut(event.stream.key()) else {
            return Err(Inapplicable::UnknownStream);
        };
        follows(&**slot, corrected)?;
        slot.evolve(decoded, event.revision, event.recorded_at, &mut self.sums)
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

fn as_decoded(decoded: &Result<Event, Arc<str>>) -> Result<&Event, NotApplied> {
    decoded.as_ref().map_err(|error| NotApplied::Undecodable(Arc::clone(error)))
}

#[cfg(test)]
mod tests {
    use read_models::stock::STOCK;

    use super::*;

    fn events(revisions: [i64; 2]) -> [RecordedEvent; 2] {
        let quantity = r#"{"quantity": 1}"#;
        revisions.map(|revision| RecordedEvent::sample("stock/A", revision, "received", quantity))
    }

    /// The rows that a batch of these events touches, and how many of them are to be read.
    fn fold(events: &[RecordedEvent], kept: &mut KeptOfFold) -> (usize, Option<i64>) {
        let corrected =
            |event| CorrectedEvent { event, decoded: &event.decoded, after_skipped: false };
        let events: Vec<_> = events.iter().map(corrected).collect();
        let mut rows = Rows::default();
        let inputs = rows.inputs(&STOCK.folds[0], &events, &mut Vec::new());
        rows.take_kept(kept);
        let to_read = rows.begun.len();
        let taken = inputs.iter().all(|input| rows.take(input).is_ok());
        let revision = rows.rows["A"].slot.revision();
        rows.keep(kept);
        (to_read, revision.filter(|_| taken))
    }

    #[test]
    fn a_row_that_was_just_written_is_not_read_again() {
        let mut kept = KeptOfFold::default();
        assert_eq!(fold(&events([1, 2]), &mut kept), (0, Some(2)));
        assert_eq!(fold(&events([3, 4]), &mut kept), (0, Some(4)));
        kept.clear();
        assert_eq!(fold(&events([5, 6]), &mut kept).0, 1);
    }

    #[test]
    fn a_kept_row_takes_no_event_twice() {
        let mut kept = KeptOfFold::default();
        fold(&events([1, 2]), &mut kept);
        assert_eq!(fold(&events([2, 3]), &mut kept).1, None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = KeptOfFold::default();
        for n in 0..3_000 {
            let event =
                RecordedEvent::sample(&format!("stock/{n}"), 1, "received", r#"{"quantity": 1}"#);
            let events =
                [CorrectedEvent { event: &event, decoded: &event.decoded, after_skipped: false }];
            let mut rows = Rows::default();
            let inputs = rows.inputs(&STOCK.folds[0], &events, &mut Vec::new());
            rows.take(&inputs[0]).unwrap();
            rows.keep(&mut kept);
            assert!((1..=KEPT_MAX).contains(&kept.len()));
        }
    }
}
