//! The deadlines of a shard: the next ones in memory, all of them in the store.

use std::{collections::BTreeSet, sync::Arc};

use domain::timestamp::Timestamp;

use super::super::store::{Deadline, StateStore, StoreError, Upcoming};

/// Deadlines in memory; those beyond are looked up in the store when their turn comes.
const WINDOW_MAX: usize = 10_000;

/// Deadlines that are loaded at a time.
const LOADED_MAX: usize = 1_000;

pub(super) struct Deadlines {
    store: Arc<dyn StateStore>,
    window: BTreeSet<Deadline>,
    reach: Reach,
}

/// How far the window is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reach {
    Nowhere,
    /// Up to and with this one.
    To(Deadline),
    /// There are none that it does not hold.
    End,
}

impl Reach {
    fn covers(&self, deadline: &Deadline) -> bool {
        match self {
            Self::Nowhere => false,
            Self::To(last) => deadline <= last,
            Self::End => true,
        }
    }
}

impl Deadlines {
    pub(super) fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store, window: BTreeSet::new(), reach: Reach::Nowhere }
    }

    /// In order, as far as the window reaches.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Deadline> {
        self.window.iter()
    }

    pub(super) fn first(&self) -> Option<Timestamp> {
        self.window.first().map(|(at, _)| *at)
    }

    /// Of a stream that nothing can be decided for.
    pub(super) fn forget(&mut self, deadline: &Deadline) {
        self.window.remove(deadline);
    }

    /// A stream's deadline has changed.
    pub(super) fn change(&mut self, old: Option<Deadline>, new: Option<Deadline>) {
        if let Some(old) = old {
            self.window.remove(&old);
        }
        if let Some(new) = new.filter(|new| self.reach.covers(new)) {
            self.window.insert(new);
        }
        while self.window.len() > WINDOW_MAX {
            self.window.pop_last();
            self.reach = self.window.last().cloned().map_or(Reach::Nowhere, Reach::To);
        }
    }

    /// Loads the next deadlines where the window has run empty. What the store says of a stream
    /// that `is_unsaved` is out of date; `unsaved` tells of those. Entries that cannot be decoded are
    /// passed over, and told.
    pub(super) fn refill(
        &mut self,
        is_unsaved: impl Fn(&Deadline) -> bool,
        unsaved: impl Fn() -> Vec<Deadline>,
    ) -> Result<Vec<String>, StoreError> {
        let mut passed_over = Vec::new();
        while self.window.is_empty() && self.reach != Reach::End {
            let after = match &self.reach {
                Reach::To(last) => Some(last),
                Reach::Nowhere | Reach::End => None,
            };
            let Upcoming { deadlines: loaded, unreadable } =
                self.store.deadlines(after, LOADED_MAX)?;
            passed_over.extend(unreadable);
            let before = std::mem::replace(&mut self.reach, Reach::End);
            if loaded.len() == LOADED_MAX
                && let Some(last) = loaded.last()
            {
                self.reach = Reach::To(last.clone());
            }
            self.window.extend(loaded.into_iter().filter(|deadline| !is_unsaved(deadline)));
            let reached = |deadline: &Deadline| self.reach.covers(deadline);
            let news = unsaved().into_iter().filter(|d| reached(d) && !before.covers(d));
            self.window.extend(news);
        }
        Ok(passed_over)
    }
}
