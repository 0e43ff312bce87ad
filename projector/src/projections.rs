//! The projections of this release, one file each.

mod api_keys;
mod carts;
mod line;
mod orders;
mod products;
mod sales;
mod stock;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use crate::runner::{Fold, Folded};

/// All of them; a new one adds its line here.
#[must_use]
pub(crate) fn all() -> Vec<Arc<dyn Fold>> {
    vec![
        Folded::<api_keys::ApiKeys>::shared(),
        Folded::<carts::Carts>::shared(),
        Folded::<orders::Orders>::shared(),
        Folded::<products::Products>::shared(),
        Folded::<sales::Sales>::shared(),
        Folded::<stock::Stocks>::shared(),
    ]
}
