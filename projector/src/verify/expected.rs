//! What the rows of a projection should be: its events, one by one, and nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    projection::{Origin, Projection, Row, Table, cells_to_json},
    runner::commit::Fact,
};

/// A row as JSON, by column.
pub(crate) type Columns = serde_json::Map<String, serde_json::Value>;

/// The fold of any projection, as a verification runs it.
pub(crate) trait Expect: Send {
    /// Takes the next event of a stream. False if it does not fit, now or before.
    fn take(&mut self, fact: &Fact, shard: i32) -> bool;

    /// The tables, with the rows that have been made for them, by primary key.
    fn into_tables(self: Box<Self>) -> Vec<(Table, BTreeMap<String, Columns>)>;

    /// Streams that stopped at an event which does not fit.
    fn stopped(&self) -> usize;
}

pub(crate) struct Expected<P: Projection> {
    rows: HashMap<P::Key, Option<P::Row>>,
    stopped: HashSet<P::Key>,
    additions: BTreeMap<i32, P::Additions>,
}

impl<P: Projection> Default for Expected<P> {
    fn default() -> Self {
        Self {
            rows: HashMap::default(),
            stopped: HashSet::default(),
            additions: BTreeMap::default(),
        }
    }
}

impl<P: Projection> Expect for Expected<P> {
    fn take(&mut self, fact: &Fact, shard: i32) -> bool {
        let Ok(key) = fact.stream.key().parse::<P::Key>() else { return false };
        if self.stopped.contains(&key) {
            return false;
        }
        let fits = self.evolve(&key, fact, shard).is_some();
        if !fits {
            self.stopped.insert(key);
        }
        fits
    }

    fn into_tables(self: Box<Self>) -> Vec<(Table, BTreeMap<String, Columns>)> {
        let table = P::Row::TABLE;
        let mut tables = vec![(table, BTreeMap::new())];
        for row in self.rows.into_values().flatten() {
            let (key, columns) = cells_to_json(&table, row.cells());
            tables[0].1.insert(key, columns);
        }
        for table in P::SHARED {
            tables.push((*table, BTreeMap::new()));
        }
        for (shard, additions) in &self.additions {
            for ((table, rows), made) in tables[1..].iter_mut().zip(P::shared(additions, *shard)) {
                rows.extend(made.into_iter().map(|cells| cells_to_json(table, cells)));
            }
        }
        tables
    }

    fn stopped(&self) -> usize {
        self.stopped.len()
    }
}

impl<P: Projection> Expected<P> {
    /// `None` if the event does not fit; then everything is as it was.
    fn evolve(&mut self, key: &P::Key, fact: &Fact, shard: i32) -> Option<()> {
        let event = P::select(fact.event.as_ref().ok()?)?;
        let row = self.rows.get(key).cloned().flatten();
        if let Some(row) = &row
            && row.revision().checked_add(1) != Some(fact.revision)
        {
            return None;
        }
        let origin =
            Origin { key: key.clone(), revision: fact.revision, recorded_at: fact.recorded_at };
        // What an event adds before it turns out not to fit must not count.
        let mut added = P::Additions::default();
        let row = P::evolve(row, event, &origin, &mut added).ok()?;
        P::merge(self.additions.entry(shard).or_default(), added)?;
        self.rows.insert(key.clone(), row);
        Some(())
    }
}
