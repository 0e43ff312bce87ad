//! A fold under another number, as another release has it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::StreamType;

use super::fold::{Fold, FoldError};
use crate::{
    dead_letters::Seen,
    projection::{Table, Tables},
    verify::Expect,
};

pub(crate) struct Renumbered {
    pub fold: Arc<dyn Fold>,
    pub version: i32,
}

#[async_trait]
impl Fold for Renumbered {
    fn name(&self) -> &'static str {
        self.fold.name()
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn stream(&self) -> StreamType {
        self.fold.stream()
    }

    fn tables(&self) -> &'static str {
        self.fold.tables()
    }

    fn table(&self) -> Table {
        self.fold.table()
    }

    fn views(&self) -> &'static [(&'static str, &'static str)] {
        self.fold.views()
    }

    fn expect(&self) -> Box<dyn Expect> {
        self.fold.expect()
    }

    async fn fold(&self, tables: &mut Tables<'_>, facts: &[Seen<'_>]) -> Result<(), FoldError> {
        self.fold.fold(tables, facts).await
    }
}
