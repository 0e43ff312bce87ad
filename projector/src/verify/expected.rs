//! What the rows of streams should be: its events, one by one, and nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    dead_letters::Seen,
    projection::{Origin, Row, StreamFold, Table, cells_to_json},
};

/// A row as JSON, by column.
pub(crate) type Columns = serde_json::Map<String, serde_json::Value>;

/// Any fold of streams, as a verification runs it.
pub(crate) trait Expect: Send {
    /// Takes the next event of a stream. False if it does not fit, now or before.
    fn take(&mut self, seen: &Seen<'_>, shard: i32) -> bool;

    /// The table that has a row per stream, with the rows of the streams that were taken since the
    /// last call, and how many of them stopped at an event which does not fit. They are forgotten:
    /// a stream is taken whole between two calls.
    fn end_part(&mut self) -> (Made, usize);

    /// The tables whose rows many streams share, once all streams have been taken.
    fn into_shared(self: Box<Self>) -> Vec<Made>;
}

/// A table, with the rows that have been made for it, by primary key.
pub(crate) type Made = (Table, BTreeMap<String, Columns>);

pub(crate) struct Expected<S: StreamFold> {
    rows: HashMap<S::Key, S::Row>,
    stopped: HashSet<S::Key>,
    additions: BTreeMap<i32, S::Additions>,
}

impl<S: StreamFold> Default for Expected<S> {
    fn default() -> Self {
        Self {
            rows: HashMap::default(),
            stopped: HashSet::default(),
            additions: BTreeMap::default(),
        }
    }
}

impl<S: StreamFold> Expect for Expected<S> {
    fn take(&mut self, seen: &Seen<'_>, shard: i32) -> bool {
        let Ok(key) = seen.fact.stream.key().parse::<S::Key>() else { return false };
        if self.stopped.contains(&key) {
            return false;
        }
        let fits = self.evolve(&key, seen, shard).is_some();
        if !fits {
            self.stopped.insert(key);
        }
        fits
    }

    fn end_part(&mut self) -> (Made, usize) {
        let table = S::Row::TABLE;
        let rows = std::mem::take(&mut self.rows).into_values();
        let rows = rows.map(|row| cells_to_json(&table, row.cells())).collect();
        ((table, rows), std::mem::take(&mut self.stopped).len())
    }

    fn into_shared(self: Box<Self>) -> Vec<Made> {
        let mut tables: Vec<Made> = S::SHARED.iter().map(|it| (*it, BTreeMap::new())).collect();
        for (shard, additions) in &self.additions {
            for ((table, rows), made) in tables.iter_mut().zip(S::shared(additions, *shard)) {
                rows.extend(made.into_iter().map(|cells| cells_to_json(table, cells)));
            }
        }
        tables
    }
}

impl<S: StreamFold> Expected<S> {
    /// `None` if the event does not fit; then everything is as it was.
    fn evolve(&mut self, key: &S::Key, seen: &Seen<'_>, shard: i32) -> Option<()> {
        let Seen { fact, event, after_skipped } = *seen;
        let event = S::select(event.as_ref().ok()?)?;
        let row = self.rows.get(key).cloned();
        if let Some(row) = &row {
            let next = row.revision().checked_add(1)?;
            let follows = next == fact.revision || (after_skipped && next < fact.revision);
            if !follows {
                return None;
            }
        }
        let origin =
            Origin { key: key.clone(), revision: fact.revision, recorded_at: fact.recorded_at };
        // What an event adds before it turns out not to fit must not count.
        let mut added = S::Additions::default();
        let row = S::evolve(row, event, &origin, &mut added).ok()?;
        S::merge(self.additions.entry(shard).or_default(), added)?;
        // Of a row that is taken away nothing is kept: there may be many of them.
        match row {
            Some(row) => drop(self.rows.insert(key.clone(), row)),
            None => drop(self.rows.remove(key)),
        }
        Some(())
    }
}
