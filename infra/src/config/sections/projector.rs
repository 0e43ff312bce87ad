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

#[derive(Clone, Copy, Debug)]
pub struct Projector {
    pub rebuild: Rebuild,
}

/// Who begins to build the new version of a projection that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuild {
    Auto,
    Manual,
}

impl Projector {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let rebuild = reader.get(&REBUILD);
        Some(Self { rebuild: rebuild? })
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
