//! The products of the data set by number.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, LazyLock},
};

use anyhow::Result;

use super::{
    id::ProductNumber,
    table::{self, CatalogueRow},
};

/// The department of what was sold and is not in the catalogue.
static UNKNOWN: LazyLock<Arc<str>> = LazyLock::new(|| "UNKNOWN".into());

#[derive(Debug, Default)]
pub struct Catalogue(HashMap<ProductNumber, CatalogueRow>);

impl Catalogue {
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        table::catalogue(path)?.collect()
    }

    #[must_use]
    pub fn get(&self, product: ProductNumber) -> Option<&CatalogueRow> {
        self.0.get(&product)
    }

    /// The department of a product, and whether the catalogue knows the product.
    #[must_use]
    pub fn department(&self, product: ProductNumber) -> (Arc<str>, bool) {
        match self.get(product) {
            Some(row) => (Arc::clone(&row.department), true),
            None => (Arc::clone(&UNKNOWN), false),
        }
    }
}

impl FromIterator<CatalogueRow> for Catalogue {
    fn from_iter<I: IntoIterator<Item = CatalogueRow>>(rows: I) -> Self {
        Self(rows.into_iter().map(|row| (row.product, row)).collect())
    }
}
