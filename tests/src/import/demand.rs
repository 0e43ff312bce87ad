//! Which products the chosen baskets need, at which price, and how much of each to have in stock.
//!
//! The price of a product is what the shelf said at its first sale in the file: what was paid and
//! what the loyalty card and the grocer's share of a coupon took off, per unit, to the cent.
//! Whatever a later line differs from that becomes an adjustment of that line. So the price does
//! not depend on which baskets are imported, and neither does the stock: it is what the whole
//! year sells. An import of 500 baskets and then of 2,000 posts the same products twice.

use std::collections::{BTreeMap, HashSet};

use super::{cents::Cents, id::ProductNumber, table::Sale};

/// What there must be of a product before it can be sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub unit_price: Cents,
    /// Units sold in the whole file.
    pub units_sold: u64,
}

#[derive(Debug, Default)]
pub struct Demand {
    sold: BTreeMap<ProductNumber, Need>,
    chosen: HashSet<ProductNumber>,
}

impl Demand {
    /// Takes in a line of the file; `chosen` if it is of a chosen basket.
    pub fn observe(&mut self, sale: &Sale, chosen: bool) {
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
    #[must_use]
    pub fn needs(mut self) -> BTreeMap<ProductNumber, Need> {
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
    use crate::import::samples::sale;

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
