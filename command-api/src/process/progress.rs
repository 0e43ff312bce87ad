//! How far a shard's events are done with, while many of them are under way.
//!
//! **Invariant:** what [`Progress::settled`] gives has no unfinished event before it.

use std::collections::BTreeMap;

use infra::log::Checkpoint;

/// Names a batch of events.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchId(u64);

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// In the order of the log. Of neighbours that are done only the last one stands here, so that what is
    /// done behind an event that waits takes no room, however long that waits.
    batches: BTreeMap<u64, Batch>,
    unfinished: usize,
    begun: u64,
}

#[derive(Debug)]
struct Batch {
    /// After its last event.
    checkpoint: Checkpoint,
    unfinished: usize,
}

impl Progress {
    pub(super) fn begin(&mut self, checkpoint: Checkpoint, events: usize) -> BatchId {
        let id = self.begun;
        self.begun += 1;
        self.batches.insert(id, Batch { checkpoint, unfinished: events });
        if events == 0 {
            self.unite(id);
        } else {
            self.unfinished += 1;
        }
        BatchId(id)
    }

    pub(super) fn finish_one(&mut self, BatchId(id): BatchId) {
        let batch = self.batches.get_mut(&id).filter(|batch| batch.unfinished > 0);
        debug_assert!(batch.is_some(), "finished twice");
        let Some(batch) = batch else { return };
        batch.unfinished -= 1;
        if batch.unfinished == 0 {
            self.unfinished -= 1;
            self.unite(id);
        }
    }

    /// Leaves the last one of a batch that is done and its neighbours that are.
    fn unite(&mut self, id: u64) {
        let is_done = |(id, batch): (&u64, &Batch)| (batch.unfinished == 0).then_some(*id);
        if let Some(before) = self.batches.range(..id).next_back().and_then(is_done) {
            self.batches.remove(&before);
        }
        if self.batches.range(id + 1..).next().and_then(is_done).is_some() {
            self.batches.remove(&id);
        }
    }

    /// How far all is done, if that is further than at the last call.
    pub(super) fn settled(&mut self) -> Option<Checkpoint> {
        let first = self.batches.first_entry().filter(|first| first.get().unfinished == 0)?;
        Some(first.remove().checkpoint)
    }

    /// Batches with an unfinished event.
    pub(super) const fn unfinished(&self) -> usize {
        self.unfinished
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
        assert_eq!(progress.unfinished(), 0);
    }

    #[test]
    fn what_is_done_behind_an_event_that_waits_takes_no_room() {
        let mut progress = Progress::default();
        let slow = progress.begin(at(1), 1);
        let quick: Vec<_> = (2..1_000).map(|end| progress.begin(at(end), 1)).collect();
        // In whatever order they end.
        let (odd, even) = (quick.iter().step_by(2), quick.iter().skip(1).step_by(2));
        odd.chain(even.rev()).for_each(|batch| progress.finish_one(*batch));
        assert_eq!((progress.unfinished(), progress.batches.len()), (1, 2));
        assert_eq!(progress.settled(), None);
        progress.finish_one(slow);
        assert_eq!(progress.settled(), Some(at(999)));
    }
}
