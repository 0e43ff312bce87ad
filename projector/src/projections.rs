//! The projections of this release, one file each.

mod api_keys;
mod carts;
#[cfg(any(test, feature = "testing"))]
mod demand;
mod line;
mod orders;
mod products;
mod sales;
mod stock;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use crate::runner::Fold;

/// All of them; a new one adds its line here.
#[must_use]
pub(crate) fn all() -> Vec<Arc<dyn Fold>> {
    vec![
        Arc::new(api_keys::ApiKeys),
        Arc::new(carts::Carts),
        Arc::new(orders::Orders),
        Arc::new(products::Products),
        Arc::new(sales::Sales),
        Arc::new(stock::Stocks),
    ]
}

/// The worked example of docs/projections.md, which no release has.
#[cfg(feature = "testing")]
#[must_use]
pub(crate) fn example() -> Arc<dyn Fold> {
    Arc::new(demand::Demand)
}
