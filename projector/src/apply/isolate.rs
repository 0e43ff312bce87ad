//! Finds the events of a batch that do not apply, and applies all the others.
//!
//! Only for batches that did not go through at once. Each try has a savepoint of its own; what worked
//! stays, so that the events of one key are judged on top of everything that came before them.

use std::collections::BTreeMap;

use domain::id::StreamId;
use infra::{postgres::errors::is_about_data, telemetry::chain};
use read_models::Projection;
use sqlx::{Connection, PgConnection};

use crate::{
    event::CorrectedEvent,
    fold::stored::{FoldError, KeptRows, fold},
    rows::Tables,
    store::{checkpoints::CheckpointRow, letters::EventPosition},
};

/// The first event of a key that does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub index: usize,
    /// The key's first event in the same commit: from it on, nothing of the key is applied.
    pub from: usize,
    pub error: String,
}

/// Events to be folded into the tables of a version in a shard, and their positions.
pub(crate) struct Isolation<'i> {
    pub projection: &'i Projection,
    pub row: &'i CheckpointRow,
    pub events: &'i [CorrectedEvent<'i>],
    pub positions: &'i [EventPosition],
}

/// Indexes of events in their order, by key.
type Keys = Vec<Vec<usize>>;

impl Isolation<'_> {
    /// Applies what applies and tells what does not.
    ///
    /// # Errors
    /// If it is not the events' fault.
    pub(crate) async fn run(&self, tx: &mut PgConnection) -> Result<Vec<Misfit>, sqlx::Error> {
        let mut misfits = Vec::new();
        let mut groups = vec![self.by_key()];
        while let Some(mut group) = groups.pop() {
            let mut indexes: Vec<usize> = group.iter().flatten().copied().collect();
            indexes.sort_unstable();
            let suspects = match self.attempt(tx, &indexes).await {
                Ok(()) => continue,
                Err(FoldError::Inapplicable(unfit)) => {
                    let unfit = unfit.iter().filter_map(|unfit| indexes.get(unfit.index));
                    let keys: Vec<&StreamId> = unfit.map(|&index| self.key(index)).collect();
                    let is_unfit = |key: &mut Vec<usize>| {
                        key.first().is_some_and(|&at| keys.contains(&self.key(at)))
                    };
                    group.extract_if(.., is_unfit).collect()
                }
                Err(FoldError::Database(error)) if is_about_data(&error) => {
                    if group.len() == 1 {
                        std::mem::take(&mut group)
                    } else {
                        groups.push(group.split_off(group.len() / 2));
                        Keys::new()
                    }
                }
                Err(FoldError::Database(error)) => return Err(error),
            };
            for key in suspects {
                misfits.extend(self.step_through(tx, &key).await?);
            }
            if !group.is_empty() {
                groups.push(group);
            }
        }
        Ok(misfits)
    }

    fn by_key(&self) -> Keys {
        let mut keys = BTreeMap::<_, Vec<usize>>::new();
        for index in 0..self.events.len() {
            keys.entry(self.key(index)).or_default().push(index);
        }
        keys.into_values().collect()
    }

    fn key(&self, index: usize) -> &StreamId {
        &self.events[index].event.stream
    }

    /// Applies a key's events commit by commit, up to one that does not apply.
    async fn step_through(
        &self,
        tx: &mut PgConnection,
        key: &[usize],
    ) -> Result<Option<Misfit>, sqlx::Error> {
        let end = |at: &usize| self.positions[*at].commit_end;
        for commit in key.chunk_by(|a, b| end(a) == end(b)) {
            let (culprit, error) = match self.attempt(tx, commit).await {
                Ok(()) => continue,
                Err(FoldError::Inapplicable(unfit)) => match unfit.into_iter().next() {
                    Some(unfit) => (unfit.index, unfit.why.to_string()),
                    None => continue,
                },
                Err(FoldError::Database(error)) if is_about_data(&error) => {
                    (0, format!("PostgreSQL does not take what follows from it: {}", chain(&error)))
                }
                Err(FoldError::Database(error)) => return Err(error),
            };
            return Ok(Some(Misfit { index: commit[culprit], from: commit[0], error }));
        }
        Ok(None)
    }

    /// Folds these events, or leaves the tables as they were.
    async fn attempt(&self, tx: &mut PgConnection, indexes: &[usize]) -> Result<(), FoldError> {
        let events: Vec<_> = indexes.iter().map(|&index| self.events[index]).collect();
        let schema = self.row.schema();
        let mut savepoint = tx.begin().await?;
        let mut tables = Tables::new(&mut savepoint, &schema, self.row.shard);
        match fold(self.projection, &mut tables, &events, &mut KeptRows::default()).await {
            Ok(()) => Ok(savepoint.commit().await?),
            Err(error) => {
                savepoint.rollback().await?;
                Err(error)
            }
        }
    }
}
