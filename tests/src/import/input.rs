//! Everything the import must know before it posts the first command, in one reading of the files:
//! which products the chosen baskets need, at which price, how much of each to have in stock, and
//! what must come out.
//!
//! The price of a product is what the shelf said at its first sale in the file: what was paid and
//! what the loyalty card and the grocer's share of a coupon took off, per unit, to the cent.
//! Whatever a later line differs from that becomes an adjustment of that line. So the price does
//! not depend on which baskets are imported, and neither does the stock: it is what the whole
//! year sells. An import of 500 baskets and then of 2,000 posts the same products twice.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    path::PathBuf,
};

use anyhow::Result;

use super::{
    basket::{Basket, Baskets},
    expectation::Expectation,
    number::{BasketNumber, Cents, ProductNumber},
    source::Files,
    table::{self, Catalogue, Sale},
};

pub(crate) struct Input {
    pub(crate) catalogue: Catalogue,
    pub(crate) needs: BTreeMap<ProductNumber, Need>,
    /// The products to post: all that are needed, unless some are known to be there.
    pub(crate) new_products: Vec<(ProductNumber, Need)>,
    pub(crate) expectation: Expectation,
    transactions: PathBuf,
    window: Range<usize>,
}

impl Input {
    /// Chooses baskets by their place in the file, counted from 0.
    pub(crate) fn read(files: Files, window: Range<usize>) -> Result<Self> {
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
    pub(crate) fn baskets(&self) -> Result<impl Iterator<Item = Result<Basket>>> {
        let baskets = Baskets::new(table::sales(&self.transactions)?);
        Ok(baskets.skip(self.window.start).take(self.window.len()))
    }
}

/// What there must be of a product before it can be sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) unit_price: Cents,
    /// Units sold in the whole file.
    pub(crate) units_sold: u64,
}

#[derive(Debug, Default)]
struct Demand {
    sold: BTreeMap<ProductNumber, Need>,
    chosen: HashSet<ProductNumber>,
}

impl Demand {
    /// Takes in a line of the file; `chosen` if it is of a chosen basket.
    fn observe(&mut self, sale: &Sale, chosen: bool) {
        if sale.quantity == 0 {
            return;
        }
        let new = || Need { unit_price: shelf_price(sale), units_sold: 0 };
        let need = self.sold.entry(sale.product).or_insert_with(new);
        need.units_sold += u64::from(sale.quantity);
        if chosen {
            self.chosen.insert(sale.product);
        }
    }

    /// The products of the chosen baskets.
    fn needs(mut self) -> BTreeMap<ProductNumber, Need> {
        self.sold.retain(|product, _| self.chosen.contains(product));
        self.sold
    }
}

fn shelf_price(sale: &Sale) -> Cents {
    let mut line = sale.value;
    line += sale.retail_discount;
    line += sale.coupon_match;
    line.divided_by(sale.quantity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::table::samples::sale;

    #[test]
    fn the_first_sale_sets_the_price_and_every_sale_the_stock() {
        let mut demand = Demand::default();
        let discounted = Sale { retail_discount: Cents(100), ..sale(1, 7, 2, 300) };
        demand.observe(&sale(1, 7, 0, 0), true);
        demand.observe(&discounted, false);
        demand.observe(&sale(2, 7, 1, 999), true);
        demand.observe(&sale(3, 7, 4, 1), false);
        demand.observe(&sale(3, 8, 4, 1), false);
        let expected = Need { unit_price: Cents(200), units_sold: 7 };
        assert_eq!(demand.needs().into_iter().collect::<Vec<_>>(), [(ProductNumber(7), expected)]);
    }
}
