//! Everything the import must know before it posts the first command, in one reading of the files.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    path::PathBuf,
};

use anyhow::Result;

use super::{
    basket::{Basket, Baskets},
    catalogue::Catalogue,
    demand::{Demand, Need},
    expectation::Expectation,
    id::{BasketNumber, ProductNumber},
    source::Files,
    table,
};

pub struct Input {
    pub catalogue: Catalogue,
    pub needs: BTreeMap<ProductNumber, Need>,
    /// The products to post: all that are needed, unless some are known to be there.
    pub new_products: Vec<(ProductNumber, Need)>,
    pub expectation: Expectation,
    transactions: PathBuf,
    window: Range<usize>,
}

impl Input {
    /// Chooses baskets by their place in the file, counted from 0.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(files: Files, window: Range<usize>) -> Result<Self> {
        let catalogue = Catalogue::read(&files.products)?;
        let mut demand = Demand::default();
        let mut expectation = Expectation::default();
        let mut places: HashMap<BasketNumber, usize> = HashMap::new();
        for sale in table::sales(&files.transactions)? {
            let sale = sale?;
            let next = places.len();
            let chosen = window.contains(places.entry(sale.basket).or_insert(next));
            demand.observe(&sale, chosen);
            if chosen {
                expectation.observe(&sale, &catalogue);
            }
        }
        let (needs, transactions) = (demand.needs(), files.transactions);
        let new_products = needs.iter().map(|(product, need)| (*product, *need)).collect();
        Ok(Self { catalogue, needs, new_products, expectation, transactions, window })
    }

    /// Reads the chosen baskets once more.
    ///
    /// # Errors
    /// If the file cannot be opened; each basket can fail on its own.
    pub fn baskets(&self) -> Result<impl Iterator<Item = Result<Basket>>> {
        let baskets = Baskets::new(table::sales(&self.transactions)?);
        Ok(baskets.skip(self.window.start).take(self.window.len()))
    }
}
