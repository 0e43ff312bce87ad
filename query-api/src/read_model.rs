//! The read models in PostgreSQL: SQL goes out, typed rows come back.
//!
//! Reads of one thing by its key (`lookups`) share statements (`batch`); lists and reports are
//! statements of their own. What a row is, and the document in it, the crate `read_models` says; a
//! document goes out as the text that PostgreSQL keeps, never parsed on the way.
//!
//! **Invariant:** only schema `read` is read, whose views stay where they are when a projection
//! changes its version. Nothing is written.
//!
//! **Invariant:** a request reads its rows in one statement. A statement holds the views that it
//! reads from before it looks at a row, so a switch of versions comes before or after all of it. Two
//! statements could see two versions, in whatever transaction they are: names are looked up anew.

mod batch;
mod error;
mod journal;
mod lookups;
mod orders;
mod products;
mod sales;

pub(crate) use batch::LoaderTasks;
pub(crate) use error::ReadError;
pub(crate) use journal::{Direction, Kept, StreamAfter, StreamRow};
pub(crate) use lookups::{Entity, FoundProduct};
pub(crate) use orders::OrderFilter;
pub(crate) use products::{After as ProductAfter, ProductFilter, ProductSort};
pub(crate) use sales::{Group, SalesFilter, SalesRow};

use async_trait::async_trait;
use domain::api_key::ApiKeyId;
use infra::{
    auth::{Issued, IssuedRows},
    freshness::{PositionRow, Projection, Reads, positions},
    log::BoxError,
    postgres::Pool,
};

use batch::Loader;
use read_models::journal::JOURNAL;

/// The projections that requests may wait for: all read models of this release.
pub(crate) const PROJECTIONS: &[Projection] = &shown();

/// What migrations make.
const VIEWS: [&str; 2] = ["parked_streams", "positions"];

const fn shown() -> [Projection; read_models::ALL.len()] {
    let mut shown = [Projection(""); read_models::ALL.len()];
    let mut index = 0;
    while index < shown.len() {
        shown[index] = read_models::ALL[index].shown();
        index += 1;
    }
    shown
}

/// What is waited for, and the views that are read.
pub(crate) fn reads() -> Reads {
    // An operator may leave the journal off.
    let is_sure = |projection: &&read_models::Projection| projection.name != JOURNAL.name;
    let made = read_models::ALL.iter().filter(is_sure).flat_map(|projection| projection.views);
    let mut views: Vec<_> = made.map(|(name, _)| *name).chain(VIEWS).collect();
    views.sort_unstable();
    Reads { projections: PROJECTIONS, views }
}

/// The way to the read models. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ReadModel {
    pool: Pool,
    api_keys: Loader<lookups::ApiKeys>,
    pub(crate) carts: Loader<lookups::Carts>,
    pub(crate) orders: Loader<lookups::Orders>,
    pub(crate) products: Loader<lookups::Products>,
    pub(crate) products_by_sku: Loader<lookups::ProductsBySku>,
    pub(crate) stock: Loader<lookups::StockBySku>,
    #[cfg(any(test, feature = "testing"))]
    pub(crate) wish_lists: Loader<lookups::WishLists>,
}

impl ReadModel {
    /// The tasks must run for reads by key to be answered; they end with the last clone.
    pub(crate) fn new(pool: Pool) -> (Self, LoaderTasks) {
        let mut tasks = LoaderTasks::new();
        let read_model = Self {
            api_keys: Loader::open(&pool, &mut tasks),
            carts: Loader::open(&pool, &mut tasks),
            orders: Loader::open(&pool, &mut tasks),
            products: Loader::open(&pool, &mut tasks),
            products_by_sku: Loader::open(&pool, &mut tasks),
            stock: Loader::open(&pool, &mut tasks),
            #[cfg(any(test, feature = "testing"))]
            wish_lists: Loader::open(&pool, &mut tasks),
            pool,
        };
        (read_model, tasks)
    }

    /// How far each projection has applied each shard.
    pub(crate) async fn positions(&self) -> Result<Vec<PositionRow>, ReadError> {
        error::in_time(positions(&self.pool)).await
    }
}

#[async_trait]
impl IssuedRows for ReadModel {
    async fn issued(&self, id: ApiKeyId) -> Result<Option<Issued>, BoxError> {
        Ok(self.api_keys.find(id.uuid()).await?)
    }
}
