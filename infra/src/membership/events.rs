//! What the nodes' meeting place tells operators.

use tracing::{debug, warn};

use super::seal::Doubt;
use crate::telemetry::{Event, metric::Counter};

static BEATS_IGNORED: Counter = Counter::new(
    "tradewind_membership_beats_ignored_total",
    "Beats that were not believed, by reason: unsigned, forged, late or replayed",
);

/// Something was said in the name of a node that need not have come from it.
pub(super) struct BeatIgnored<'a> {
    pub(super) node: &'a str,
    pub(super) doubt: Doubt,
    /// Those that follow for the same reason are counted only.
    pub(super) is_first: bool,
}

impl Event for BeatIgnored<'_> {
    fn emit(self) {
        let Self { node, doubt, is_first } = self;
        let reason = doubt.as_str();
        BEATS_IGNORED.add(&[("reason", reason)], 1);
        if is_first {
            warn!(
                reason,
                "a beat of node {node:?} is not believed ({reason}): do all nodes have the same \
                 secret and release, and clocks within 30 s of the broker's?"
            );
        } else {
            debug!(reason, "a beat of node {node:?} is not believed ({reason})");
        }
    }
}
