//! What a projector does by itself.

use std::str::FromStr;

use crate::config::{Reader, Setting};

const REBUILD: Setting = Setting {
    key: "projector.rebuild",
    doc: "What happens when a release brings a changed projection: `auto` builds its new version \
          beside the live one and switches when it has caught up, `manual` waits for `projector \
          rebuild`.",
    allowed: "auto or manual",
    default: Some("auto"),
};
const PARKED_EVENTS_MAX: Setting = Setting {
    key: "projector.parked_events_max",
    doc: "Events of one projection that may wait as dead letters in one shard. Where more would, the \
          projection halts in that shard: something is wrong with more than some events.",
    allowed: "a number from 1 to 1000000",
    default: Some("1000"),
};
const DEAD_LETTERS_KEPT_DAYS: Setting = Setting {
    key: "projector.dead_letters_kept_days",
    doc: "For so long settled dead letters can be looked up, with what was done about them. Edits and \
          skips hold for ever.",
    allowed: "a number of days from 30 to 36500",
    default: Some("730"),
};

#[derive(Clone, Copy, Debug)]
pub struct Projector {
    pub rebuild: Rebuild,
    pub parked_events_max: usize,
    pub dead_letters_kept_days: i32,
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
            rebuild: reader.get(&REBUILD),
            parked_events_max: reader.get_with(&PARKED_EVENTS_MAX, |text| {
                text.parse().ok().filter(|count| (1..=1_000_000).contains(count))
            }),
            dead_letters_kept_days: reader.get_with(&DEAD_LETTERS_KEPT_DAYS, |text| {
                text.parse().ok().filter(|days| (30..=36_500).contains(days))
            }),
        }
    }
}

impl FromStr for Rebuild {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "manual" => Ok(Self::Manual),
            _ => Err(()),
        }
    }
}
