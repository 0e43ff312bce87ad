//! How far a shard's log reaches, as far as its projections are concerned.

use std::sync::atomic::{AtomicI64, Ordering};

use infra::log::Offset;

/// Shared by a shard's dispatcher, its appliers and its meter.
///
/// The log may end in records that are no commit (a claim, a stale producer's leavings). A projection
/// that has taken the last commit has nothing more to do, so for it the log ends there.
#[derive(Debug, Default)]
pub(crate) struct LogEnd {
    /// The offset that the dispatcher reads next.
    read: AtomicI64,
    /// The offset after the last commit that it has read.
    committed: AtomicI64,
    /// The offset after the log's last record.
    end: AtomicI64,
}

impl LogEnd {
    /// Begins where the dispatcher does.
    #[must_use]
    pub(crate) fn at(offset: Offset) -> Self {
        let at = || AtomicI64::new(offset);
        Self { read: at(), committed: at(), end: at() }
    }

    pub(crate) fn has_read(&self, read: Offset, committed: Offset) {
        self.committed.store(committed, Ordering::Relaxed);
        self.read.store(read, Ordering::Relaxed);
    }

    /// The offset after the last commit that the dispatcher has read.
    #[must_use]
    pub(crate) fn committed(&self) -> Offset {
        self.committed.load(Ordering::Relaxed)
    }

    pub(crate) fn ends(&self, end: Offset) {
        self.end.store(end, Ordering::Relaxed);
    }

    /// Where the log ends for a projection that stands at `next_offset`.
    #[must_use]
    pub(crate) fn as_seen_from(&self, next_offset: Offset) -> Offset {
        next_offset.max(self.last_commit(self.end.load(Ordering::Relaxed)))
    }

    /// Where a projection stands that has taken all commits before `end`, as far as that is known.
    #[must_use]
    pub(crate) fn last_commit(&self, end: Offset) -> Offset {
        let (read, committed) =
            (self.read.load(Ordering::Relaxed), self.committed.load(Ordering::Relaxed));
        if read >= end { committed.min(end) } else { end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_at_the_end_is_no_lag() {
        let log_end = LogEnd::at(0);
        log_end.ends(11);
        assert_eq!(log_end.as_seen_from(10), 11, "nobody has read what is there");
        log_end.has_read(11, 10);
        assert_eq!(log_end.as_seen_from(10), 10);
        assert_eq!(log_end.as_seen_from(4), 10);
    }

    #[test]
    fn an_end_that_was_seen_before_stays_where_it_was() {
        let log_end = LogEnd::at(0);
        log_end.has_read(20, 18);
        assert_eq!((log_end.last_commit(11), log_end.last_commit(19)), (11, 18));
        assert_eq!(log_end.last_commit(21), 21, "nobody has read what is there");
    }
}
