//! Folds a batch of events per key in memory: each row that a batch touches is read once, at most,
//! and written once, whatever number of events it takes.
//!
//! **Invariant:** a row never takes an event twice or out of order: the event's revision follows on
//! the row's, or the fold ends with an error.

use std::{collections::hash_map::Entry, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use domain::StreamType;
use rustc_hash::FxHashMap;

use super::commit::Fact;
use crate::{
    projection::{Changes, Inapplicable, Origin, Projection, Row, Table, Tables},
    rows,
    verify::{Expect, Expected},
};

/// Any projection, as the runner handles it.
#[async_trait]
pub(crate) trait Fold: Send + Sync + 'static {
    fn name(&self) -> &'static str;
    /// The number of this code; versions that other code made are not its business.
    fn version(&self) -> i32;
    /// The streams whose events it wants.
    fn stream(&self) -> StreamType;
    fn tables(&self) -> &'static str;
    /// The table that has a row per stream.
    fn table(&self) -> Table;
    fn views(&self) -> &'static [(&'static str, &'static str)];

    /// Writes what the facts, all of them of `stream`, make of the tables.
    async fn fold(&self, tables: &mut Tables<'_>, facts: &[&Fact]) -> Result<(), FoldError>;

    /// What a verification expects of the rows; knows no event yet.
    fn expect(&self) -> Box<dyn Expect>;
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    /// The fact with this index does not fit.
    #[error("event {index} of the batch does not apply")]
    Inapplicable { index: usize, source: NotApplied },
    #[error("PostgreSQL did not take the rows")]
    Database(#[from] sqlx::Error),
}

/// Why a fact does not become rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotApplied {
    #[error("its value cannot be decoded: {0}")]
    Undecodable(Arc<str>),
    #[error(transparent)]
    Inapplicable(#[from] Inapplicable),
}

/// Makes any [`Projection`] a [`Fold`].
pub(crate) struct Folded<P>(PhantomData<P>);

impl<P: Projection> Folded<P> {
    #[must_use]
    pub(crate) fn shared() -> Arc<dyn Fold> {
        Arc::new(Self(PhantomData))
    }
}

#[async_trait]
impl<P: Projection> Fold for Folded<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn version(&self) -> i32 {
        P::VERSION
    }

    fn stream(&self) -> StreamType {
        P::STREAM
    }

    fn tables(&self) -> &'static str {
        P::TABLES
    }

    fn table(&self) -> Table {
        P::Row::TABLE
    }

    fn views(&self) -> &'static [(&'static str, &'static str)] {
        P::VIEWS
    }

    fn expect(&self) -> Box<dyn Expect> {
        Box::new(Expected::<P>::default())
    }

    async fn fold(&self, tables: &mut Tables<'_>, facts: &[&Fact]) -> Result<(), FoldError> {
        let inputs = Input::<P>::all(facts)?;
        let mut rows = Rows::<P>::load(tables, &inputs).await?;
        for (index, input) in inputs.iter().enumerate() {
            rows.take(input)
                .map_err(|cause| FoldError::Inapplicable { index, source: cause.into() })?;
        }
        rows::store(tables, rows.into_changes()).await?;
        Ok(())
    }
}

/// A fact in the terms of its projection.
struct Input<'f, P: Projection> {
    event: &'f P::Event,
    origin: Origin<P::Key>,
}

impl<'f, P: Projection> Input<'f, P> {
    fn all(facts: &[&'f Fact]) -> Result<Vec<Self>, FoldError> {
        let input = |(index, fact): (usize, &&'f Fact)| {
            Self::new(fact).map_err(|source| FoldError::Inapplicable { index, source })
        };
        facts.iter().enumerate().map(input).collect()
    }

    fn new(fact: &'f Fact) -> Result<Self, NotApplied> {
        let event = fact.event.as_ref().map_err(|error| NotApplied::Undecodable(error.clone()))?;
        let event = P::select(event).ok_or(Inapplicable::WrongStream)?;
        let Ok(key) = fact.stream.key().parse() else {
            return Err(Inapplicable::MalformedKey.into());
        };
        let (revision, recorded_at) = (fact.revision, fact.recorded_at);
        Ok(Self { event, origin: Origin { key, revision, recorded_at } })
    }
}

/// The rows that a batch touches: first as they are stored, then as its events leave them.
struct Rows<P: Projection> {
    slots: FxHashMap<P::Key, Slot<P::Row>>,
    additions: P::Additions,
}

struct Slot<R> {
    row: Option<R>,
    stored: bool,
}

impl<P: Projection> Rows<P> {
    /// Reads the rows of all streams that begin before the batch.
    async fn load(tables: &mut Tables<'_>, inputs: &[Input<'_, P>]) -> Result<Self, sqlx::Error> {
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
            for row in P::load(tables, &keys).await? {
                slots.insert(row.key(), Slot { row: Some(row), stored: true });
            }
        }
        Ok(Self { slots, additions: P::Additions::default() })
    }

    fn take(&mut self, Input { event, origin }: &Input<'_, P>) -> Result<(), Inapplicable> {
        // `load` has made a slot for each key of the batch.
        let Some(slot) = self.slots.get_mut(&origin.key) else {
            return Err(Inapplicable::UnknownStream);
        };
        let row = slot.row.take();
        if let Some(row) = &row
            && row.revision().checked_add(1) != Some(origin.revision)
        {
            return Err(Inapplicable::RevisionGap { row: row.revision(), found: origin.revision });
        }
        slot.row = P::evolve(row, event, origin, &mut self.additions)?;
        Ok(())
    }

    fn into_changes(self) -> Changes<P> {
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
