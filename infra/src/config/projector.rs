//! What a projector does by itself.

use std::time::Duration;

use super::{Reader, duration, within};

crate::settings! {
    /// What happens when a release brings a changed projection: `auto` builds its new version
    /// beside the live one and switches when it has caught up, `manual` waits for `projector
    /// rebuild`.
    REBUILD = "projector.rebuild", "auto or manual", Some("auto");
    /// Events of one projection that may wait as dead letters in one shard. Where more would, the
    /// projection halts in that shard: something is wrong with more than some events.
    PARKED_EVENTS_MAX = "projector.parked_events_max", "a number from 1 to 1000000", Some("1000");
    /// For so long settled dead letters can be looked up, with what was done about them. Edits and
    /// skips hold for ever.
    DEAD_LETTERS_KEPT_DAYS = "projector.dead_letters_kept_days",
        "a number of days from 30 to 36500", Some("730");
    /// For so long, from its first commit on, a batch waits for company, unless nothing had come for five times as long: one
    /// transaction takes all that has come. Longer means fewer transactions and later reads.
    GATHER = "projector.gather", "a duration from 0ms to 100ms", Some("2ms");
    /// Whether the journal is kept: every event by its stream, for reads of what happened to one thing and of what
    /// it was then. It is the largest of the read models. `off` removes it; `on` makes it anew from the log. The
    /// same for all projectors.
    JOURNAL = "projector.journal", "on or off", Some("on");
}

/// What the setting goes up to.
const GATHER_MAX: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub struct Projector {
    pub rebuild: Rebuild,
    pub parked_events_max: usize,
    pub dead_letters_kept_days: i32,
    pub gather: Duration,
    pub journal: bool,
}

/// Who begins to build the new version of a projection that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuild {
    Auto,
    Manual,
}

impl Projector {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        crate::read_all! {
            rebuild: reader.get_with(&REBUILD, |text| match text {
                "auto" => Some(Rebuild::Auto),
                "manual" => Some(Rebuild::Manual),
                _ => None,
            }),
            parked_events_max: reader.get_with(&PARKED_EVENTS_MAX, within(1..=1_000_000)),
            dead_letters_kept_days: reader.get_with(&DEAD_LETTERS_KEPT_DAYS, within(30..=36_500)),
            gather: reader.get_with(&GATHER, |text| {
                duration(text).filter(|gather| *gather <= GATHER_MAX)
            }),
            journal: reader.get_with(&JOURNAL, |text| match text {
                "on" => Some(true),
                "off" => Some(false),
                _ => None,
            }),
        }
    }
}
