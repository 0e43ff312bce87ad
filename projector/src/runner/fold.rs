//! Folds a batch of events per key in memory: each row that a batch touches is read once, at most,
//! and written once, whatever number of events it takes.
//!
//! **Invariant:** a row never takes an event twice or out of order: the event's revision follows on
//! the row's, or the fold ends with an error. Only where an operator has had an event skipped may the
//! one after it leave a gap.

use std::{collections::hash_map::Entry, sync::Arc};

use domain::Event;
use read_models::{Fold, Inapplicable, Projection, Slot, Sums};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    dead_letters::CorrectedEvent,
    rows::{Changes, Tables},
    runner::RecordedEvent,
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

/// Writes what the events make of the tables.
///
/// # Errors
/// Then the transaction is to be rolled back.
pub(crate) async fn fold(
    projection: &Projection,
    tables: &mut Tables<'_>,
    events: &[CorrectedEvent<'_>],
) -> Result<(), FoldError> {
    let mut unfit = Vec::new();
    for fold in projection.folds {
        write(fold, tables, events, &mut unfit).await?;
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
    unfit: &mut Vec<Unfit>,
) -> Result<(), sqlx::Error> {
    let before = unfit.len();
    let mut rows = Rows::default();
    let inputs = rows.inputs(fold, events, unfit);
    if inputs.is_empty() {
        return Ok(());
    }
    rows.load(fold, tables).await?;
    for input in &inputs {
        if let Err(cause) = rows.take(input) {
            unfit.push(Unfit { index: input.index, why: cause.into() });
        }
    }
    if unfit.len() == before {
        tables.store(fold, rows.changes(), &rows.sums).await?;
    }
    Ok(())
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
    event: &'f RecordedEvent,
    decoded: &'f Event,
    after_skipped: bool,
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
            let &CorrectedEvent { event, decoded, after_skipped } = corrected;
            let fits = as_decoded(decoded).and_then(|it| self.make_room(fold, event).map(|()| it));
            match fits {
                Ok(decoded) => inputs.push(Input { index, event, decoded, after_skipped }),
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

    /// Reads the rows of all streams that begin before the batch.
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
        let Input { event, decoded, after_skipped, .. } = input;
        // There is room for each key of the batch.
        let Some(Touched { slot, .. }) = self.rows.get_mut(event.stream.key()) else {
            return Err(Inapplicable::UnknownStream);
        };
        if let Some(row) = slot.revision() {
            let found = event.revision;
            let follows =
                if *after_skipped { row < found } else { row.checked_add(1) == Some(found) };
            if !follows {
                return Err(Inapplicable::RevisionGap { row, found });
            }
        }
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
