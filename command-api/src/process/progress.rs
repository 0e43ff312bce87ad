//! How far a shard's events are done with, while many of them are under way.
//!
//! **Invariant:** what [`Progress::settled`] gives has no unfinished event before it.

use std::collections::VecDeque;

use infra::log::Checkpoint;

/// Names a batch of events.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchId(usize);

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Oldest first; the first one has the id `settled_count`.
    batches: VecDeque<Batch>,
    settled_count: usize,
}

#[derive(Debug)]
struct Batch {
    /// After its last event.
    checkpoint: Checkpoint,
    unfinished: usize,
}

impl Progress {
    pub(super) fn begin(&mut self, checkpoint: Checkpoint, events: usize) -> BatchId {
        // What is done behind an event that waits takes no room, however long that waits.
        if let Some(last) = self.batches.back_mut().filter(|last| last.unfinished == 0) {
            *last = Batch { checkpoint, unfinished: events };
            return BatchId(self.settled_count + self.batches.len() - 1);
        }
        let id = BatchId(self.settled_count + self.batches.len());
        self.batches.push_back(Batch { checkpoint, unfinished: events });
        id
    }

    pub(super) fn finish_one(&mut self, BatchId(id): BatchId) {
        let batch = id.checked_sub(self.settled_count).and_then(|at| self.batches.get_mut(at));
        debug_assert!(batch.as_ref().is_some_and(|batch| batch.unfinished > 0), "finished twice");
        if let Some(batch) = batch {
            batch.unfinished = batch.unfinished.saturating_sub(1);
        }
    }

    /// How far all is done, if that is further than at the last call.
    pub(super) fn settled(&mut self) -> Option<Checkpoint> {
        let mut settled = None;
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.unfinished == 0) {
            self.settled_count += 1;
            settled = Some(batch.checkpoint);
        }
        settled
    }

    /// Batches that are not settled.
    pub(super) fn batches(&self) -> usize {
        self.batches.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next_offset: i64) -> Checkpoint {
        Checkpoint { next_offset, ..Checkpoint::default() }
    }

    #[test]
    fn progress_stops_before_what_is_unfinished() {
        let mut progress = Progress::default();
        let (first, second) = (progress.begin(at(10), 2), progress.begin(at(20), 1));
        progress.begin(at(30), 0);
        progress.finish_one(second);
        assert_eq!(progress.settled(), None);
        progress.finish_one(first);
        assert_eq!(progress.settled(), None);
        progress.finish_one(first);
        assert_eq!(progress.settled(), Some(at(30)));
        assert_eq!(progress.settled(), None);
        let fourth = progress.begin(at(40), 1);
        progress.finish_one(fourth);
        assert_eq!(progress.settled(), Some(at(40)));
        assert_eq!(progress.batches(), 0);
    }
}
