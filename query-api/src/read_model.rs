//! The read models in PostgreSQL: SQL goes out, typed rows come back.
//!
//! Reads of one thing by its key share statements (`batch`); lists and reports are statements of
//! their own. What a row is, and the document in it, the crate `read_models` says; a document goes out as
//! the text that PostgreSQL keeps, never parsed on the way.
//!
//! **Invariant:** only schema `read` is read, whose views stay where they are when a projection
//! changes its version. Nothing is written.
//!
//! **Invariant:** a request reads its rows in one statement. A statement holds the views that it
//! reads from before it looks at a row, so a switch of versions comes before or after all of it. Two
//! statements could see two versions, in whatever transaction they are: names are looked up anew.

mod batch;
mod document;
mod error;

mod api_keys;
mod carts;
mod orders;
mod positions;
mod products;
mod sales;
mod stock;
#[cfg(any(test, feature = "testing"))]
mod wish_lists;

pub(crate) use batch::LoaderTasks;
pub(crate) use document::Entity;
pub(crate) use error::ReadError;
pub(crate) use orders::{Found as FoundOrder, OrderFilter};
pub(crate) use products::{
    After as ProductAfter, Found as FoundProduct, ProductFilter, ProductSort,
};
pub(crate) use sales::{Group, SalesFilter, SalesRow};

use batch::Loader;
use infra::postgres::Pool;

/// The way to the read models. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ReadModel {
    pool: Pool,
    api_keys: Loader<api_keys::ById>,
    carts: Loader<carts::ById>,
    orders: Loader<orders::ById>,
    products: Loader<products::ById>,
    products_by_sku: Loader<products::BySku>,
    stock: Loader<stock::BySku>,
    #[cfg(any(test, feature = "testing"))]
    wish_lists: Loader<wish_lists::ById>,
}

impl ReadModel {
    /// The tasks must run for reads by key to be answered; they end with the last clone.
    pub(crate) fn new(pool: Pool) -> (Self, LoaderTasks) {
        let mut tasks = LoaderTasks::default();
        let read_model = Self {
            api_keys: tasks.open(&pool),
            carts: tasks.open(&pool),
            orders: tasks.open(&pool),
            products: tasks.open(&pool),
            products_by_sku: tasks.open(&pool),
            stock: tasks.open(&pool),
            #[cfg(any(test, feature = "testing"))]
            wish_lists: tasks.open(&pool),
            pool,
        };
        (read_model, tasks)
    }
}
