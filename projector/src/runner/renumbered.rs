//! A fold under another number, as another release has it.

use std::sync::Arc;

use super::fold::{Fold, Streams};

pub(crate) struct Renumbered {
    pub fold: Arc<dyn Fold>,
    pub version: i32,
}

impl Fold for Renumbered {
    fn name(&self) -> &'static str {
        self.fold.name()
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn tables(&self) -> &'static str {
        self.fold.tables()
    }

    fn views(&self) -> &'static [(&'static str, &'static str)] {
        self.fold.views()
    }

    fn streams(&self) -> Streams {
        self.fold.streams()
    }
}
