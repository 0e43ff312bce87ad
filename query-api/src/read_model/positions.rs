//! How far each projection has applied each shard.

use infra::freshness::{PositionRow, positions};

use super::{ReadError, ReadModel, error::in_time};

impl ReadModel {
    pub(crate) async fn positions(&self) -> Result<Vec<PositionRow>, ReadError> {
        in_time(positions(&self.pool)).await
    }
}
