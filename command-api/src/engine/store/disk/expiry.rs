//! Outcomes that are of no use any more leave when the database rewrites its files.
//!
//! Neither an index by age nor a tombstone per outcome is needed for that, which would cost as much
//! again as the outcomes themselves. Whoever reads an outcome judges its age anyway.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use domain::timestamp::Timestamp;
use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};

use super::super::encoding;

/// Clones share the moment before which outcomes may go.
#[derive(Clone, Debug)]
pub(super) struct Expiry(Arc<AtomicI64>);

impl Default for Expiry {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MIN)))
    }
}

impl Expiry {
    pub(super) fn forget_before(&self, moment: Timestamp) {
        self.0.store(moment.as_micros(), Ordering::Relaxed);
    }
}

impl Factory for Expiry {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        let before = Timestamp::from_micros(self.0.load(Ordering::Relaxed));
        Box::new(Before(before))
    }
}

struct Before(Timestamp);

impl CompactionFilter for Before {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let recorded_at = encoding::recorded_at(&item.value()?);
        // An older outcome of the same id that shows up again is as old at least, and as useless.
        Ok(match recorded_at {
            Some(at) if at < self.0 => Verdict::Destroy,
            _ => Verdict::Keep,
        })
    }
}
