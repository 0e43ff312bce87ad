//! Folds a batch of events per key in memory: each row that a batch touches is read once, at most,
//! and written once, whatever number of events it takes.
//!
//! **Invariant:** a row never takes an event twice or out of order: the event's revision follows on
//! the row's, or the fold ends with an error. Only where an operator has had an event skipped may the
//! one after it leave a gap.

use std::{collections::hash_map::Entry, sync::Arc};

use async_trait::async_trait;
use domain::StreamType;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    dead_letters::Seen,
    projection::{Changes, Inapplicable, Origin, Projection, Row, StreamFold, Table, Tables},
    rows,
    verify::{Expect, Expected},
};

/// Any projection, as the runner handles it.
pub(crate) trait Fold: Send + Sync + 'static {
    fn name(&self) -> &'static str;
    /// The number of this code; versions that other code made are not its business.
    fn version(&self) -> i32;
    fn tables(&self) -> &'static str;
    fn views(&self) -> &'static [(&'static str, &'static str)];
    /// What it is made of.
    fn streams(&self) -> Streams;
}

/// Any [`StreamFold`].
#[async_trait]
pub(crate) trait AnyStreamFold: Send + Sync + 'static {
    /// The streams whose events it wants.
    fn stream(&self) -> StreamType;
    /// The table that has a row per stream.
    fn table(&self) -> Table;

    /// Writes what those of the facts that it wants make of its tables, or tells which do not fit:
    /// then it has written nothing.
    async fn fold(
        &self,
        tables: &mut Tables<'_>,
        facts: &[Seen<'_>],
        unfit: &mut Vec<Unfit>,
    ) -> Result<(), sqlx::Error>;

    /// What a verification expects of the rows; knows no event yet.
    fn expect(&self) -> Box<dyn Expect>;
}

/// The folds of a projection.
#[derive(Clone, Copy)]
pub(crate) struct Streams(&'static [&'static dyn AnyStreamFold]);

#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    /// These do not fit: the first one of each key that has one. What has been written of the others
    /// is to be rolled back.
    #[error("{} of the batch's events do not apply", .0.len())]
    Inapplicable(Vec<Unfit>),
    #[error("PostgreSQL did not take the rows")]
    Database(#[from] sqlx::Error),
}

/// A fact, by its index, that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub index: usize,
    pub why: NotApplied,
}

/// Why a fact does not become rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotApplied {
    #[error("its value cannot be decoded: {0}")]
    Undecodable(Arc<str>),
    #[error(transparent)]
    Inapplicable(#[from] Inapplicable),
}

impl<P: Projection> Fold for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn version(&self) -> i32 {
        P::VERSION
    }

    fn tables(&self) -> &'static str {
        P::TABLES
    }

    fn views(&self) -> &'static [(&'static str, &'static str)] {
        P::VIEWS
    }

    fn streams(&self) -> Streams {
        Streams(P::FOLDS)
    }
}

impl Streams {
    /// Whether one of the folds wants the events of such streams.
    #[must_use]
    pub(crate) fn want(self, stream: StreamType) -> bool {
        self.0.iter().any(|fold| fold.stream() == stream)
    }

    /// The tables that have a row per stream.
    pub(crate) fn tables(self) -> impl Iterator<Item = Table> {
        self.0.iter().map(|fold| fold.table())
    }

    /// What a verification expects of the rows, by type of stream; knows no event yet.
    pub(crate) fn expect(self) -> Vec<(StreamType, Box<dyn Expect>)> {
        self.0.iter().map(|fold| (fold.stream(), fold.expect())).collect()
    }

    /// Writes what the facts make of the tables.
    ///
    /// # Errors
    /// Then the transaction is to be rolled back.
    pub(crate) async fn fold(
        self,
        tables: &mut Tables<'_>,
        facts: &[Seen<'_>],
    ) -> Result<(), FoldError> {
        let mut unfit = Vec::new();
        for fold in self.0 {
            fold.fold(tables, facts, &mut unfit).await?;
        }
        if unfit.is_empty() {
            return Ok(());
        }
        Err(FoldError::Inapplicable(first_of_each_key(unfit, facts)))
    }
}

#[async_trait]
impl<S: StreamFold> AnyStreamFold for S {
    fn stream(&self) -> StreamType {
        S::STREAM
    }

    fn table(&self) -> Table {
        S::Row::TABLE
    }

    fn expect(&self) -> Box<dyn Expect> {
        Box::new(Expected::<S>::default())
    }

    async fn fold(
        &self,
        tables: &mut Tables<'_>,
        facts: &[Seen<'_>],
        unfit: &mut Vec<Unfit>,
    ) -> Result<(), sqlx::Error> {
        let before = unfit.len();
        let inputs = Input::<S>::all(facts, unfit);
        if inputs.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::<S>::load(tables, &inputs).await?;
        for input in &inputs {
            if let Err(cause) = rows.take(input) {
                unfit.push(Unfit { index: input.index, why: cause.into() });
            }
        }
        if unfit.len() == before {
            rows::store(tables, rows.into_changes()).await?;
        }
        Ok(())
    }
}

/// What follows on an event that does not fit cannot fit either, which says nothing about it.
fn first_of_each_key(mut unfit: Vec<Unfit>, facts: &[Seen<'_>]) -> Vec<Unfit> {
    unfit.sort_by_key(|unfit| unfit.index);
    let mut keys = FxHashSet::default();
    unfit.retain(|unfit| keys.insert(&facts[unfit.index].fact.stream));
    unfit
}

/// A fact in the terms of its fold.
struct Input<'f, S: StreamFold> {
    index: usize,
    event: &'f S::Event,
    origin: Origin<S::Key>,
    after_skipped: bool,
}

impl<'f, S: StreamFold> Input<'f, S> {
    /// The facts of such streams that can be put in these terms; the others of them are unfit.
    fn all(facts: &[Seen<'f>], unfit: &mut Vec<Unfit>) -> Vec<Self> {
        let mut inputs = Vec::with_capacity(facts.len());
        let of_stream = |seen: &Seen<'_>| seen.fact.stream.stream_type() == S::STREAM;
        for (index, fact) in facts.iter().enumerate().filter(|(_, seen)| of_stream(seen)) {
            match Self::new(index, fact) {
                Ok(input) => inputs.push(input),
                Err(why) => unfit.push(Unfit { index, why }),
            }
        }
        inputs
    }

    fn new(
        index: usize,
        &Seen { fact, event, after_skipped }: &Seen<'f>,
    ) -> Result<Self, NotApplied> {
        let event = event.as_ref().map_err(|error| NotApplied::Undecodable(error.clone()))?;
        let event = S::select(event).ok_or(Inapplicable::WrongStream)?;
        let Ok(key) = fact.stream.key().parse() else {
            return Err(Inapplicable::MalformedKey.into());
        };
        let (revision, recorded_at) = (fact.revision, fact.recorded_at);
        Ok(Self { index, event, origin: Origin { key, revision, recorded_at }, after_skipped })
    }
}

/// The rows that a batch touches: first as they are stored, then as its events leave them.
struct Rows<S: StreamFold> {
    slots: FxHashMap<S::Key, Slot<S::Row>>,
    additions: S::Additions,
}

struct Slot<R> {
    row: Option<R>,
    stored: bool,
}

impl<S: StreamFold> Rows<S> {
    /// Reads the rows of all streams that begin before the batch.
    async fn load(tables: &mut Tables<'_>, inputs: &[Input<'_, S>]) -> Result<Self, sqlx::Error> {
        let mut slots = FxHashMap::default();
        let mut keys = Vec::new();
        for Input { origin, .. } in inputs {
            if let Entry::Vacant(vacant) = slots.entry(origin.key.clone()) {
                vacant.insert(Slot { row: None, stored: false });
                // A stream's first event finds no row.
                if origin.revision > 1 {
                    keys.push(origin.key.clone());
                }
            }
        }
        if !keys.is_empty() {
            for row in rows::load::<S>(tables, &keys).await? {
                slots.insert(row.key(), Slot { row: Some(row), stored: true });
            }
        }
        Ok(Self { slots, additions: S::Additions::default() })
    }

    fn take(&mut self, input: &Input<'_, S>) -> Result<(), Inapplicable> {
        let Input { event, origin, after_skipped, .. } = input;
        // `load` has made a slot for each key of the batch.
        let Some(slot) = self.slots.get_mut(&origin.key) else {
            return Err(Inapplicable::UnknownStream);
        };
        let row = slot.row.take();
        if let Some(row) = &row {
            let (row, found) = (row.revision(), origin.revision);
            let follows =
                if *after_skipped { row < found } else { row.checked_add(1) == Some(found) };
            if !follows {
                return Err(Inapplicable::RevisionGap { row, found });
            }
        }
        slot.row = S::evolve(row, event, origin, &mut self.additions)?;
        Ok(())
    }

    fn into_changes(self) -> Changes<S> {
        let (mut created, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
        for (key, slot) in self.slots {
            match slot.row {
                Some(row) if slot.stored => updated.push(row),
                Some(row) => created.push(row),
                None if slot.stored => deleted.push(key),
                None => {}
            }
        }
        Changes { created, updated, deleted, additions: self.additions }
    }
}
