//! What the read models must say in the end, folded from the lines of the file alone.
//!
//! **Invariant:** nothing here passes through the code that groups, merges and posts baskets, so a
//! mistake there shows as a difference instead of being expected.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use chrono::Datelike;
use domain::{id::OrderId, timestamp::Timestamp};
use serde::Serialize;

use super::{
    number::{BasketNumber, Cents},
    table::{Catalogue, Sale},
};

/// A cell of the sales report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cell {
    pub(crate) department: Arc<str>,
    pub(crate) week: Week,
}

/// An ISO 8601 week, as text `2017-W01`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Week(pub(crate) String);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) orders: u64,
    pub(crate) units: u64,
    pub(crate) revenue: Cents,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedOrder {
    pub(crate) basket: BasketNumber,
    pub(crate) customer_reference: String,
    pub(crate) placed_at: Timestamp,
    pub(crate) units: u64,
    pub(crate) revenue: Cents,
}

/// What of the chosen baskets becomes no order line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LeftOut {
    /// Lines: nothing was bought.
    pub(crate) zero_quantity: u64,
    /// Baskets: no line was left.
    pub(crate) empty_basket: u64,
}

/// What the import had to make up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Completed {
    /// Lines whose product is not in the catalogue: it gets one of department `UNKNOWN`.
    pub(crate) unknown_product: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Expectation {
    pub(crate) orders: HashMap<OrderId, ExpectedOrder>,
    pub(crate) cells: BTreeMap<Cell, Sums>,
    pub(crate) completed: Completed,
    zero_quantity: u64,
    baskets: HashSet<BasketNumber>,
    /// A basket counts once per cell, however many lines it has there.
    counted: HashSet<(BasketNumber, Arc<str>)>,
}

impl Expectation {
    pub(crate) fn observe(&mut self, sale: &Sale, catalogue: &Catalogue) {
        self.baskets.insert(sale.basket);
        if sale.quantity == 0 {
            self.zero_quantity += 1;
            return;
        }
        let (department, known) = catalogue.department(sale.product);
        self.completed.unknown_product += u64::from(!known);
        let order = self.orders.entry(sale.basket.order_id()).or_insert_with(|| ExpectedOrder {
            basket: sale.basket,
            customer_reference: customer_reference(sale.household),
            placed_at: sale.at,
            units: 0,
            revenue: Cents(0),
        });
        order.units += u64::from(sale.quantity);
        order.revenue += sale.value;
        let cell = Cell { department: Arc::clone(&department), week: Week::of(sale.at) };
        let sums = self.cells.entry(cell).or_default();
        sums.orders += u64::from(self.counted.insert((sale.basket, department)));
        sums.units += u64::from(sale.quantity);
        sums.revenue += sale.value;
    }

    pub(crate) fn left_out(&self) -> LeftOut {
        let empty = self.baskets.len() - self.orders.len();
        LeftOut {
            zero_quantity: self.zero_quantity,
            empty_basket: u64::try_from(empty).unwrap_or(u64::MAX),
        }
    }
}

impl Week {
    pub(crate) fn of(at: Timestamp) -> Self {
        let week = at.to_datetime().iso_week();
        Self(format!("{}-W{:02}", week.year(), week.week()))
    }
}

pub(crate) fn customer_reference(household: u64) -> String {
    format!("household-{household}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::table::samples::{at, catalogue, sale};

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (day, week) in [
            ("2017-01-01", "2016-W52"), // A Sunday belongs to the year before.
            ("2017-01-02", "2017-W01"),
            ("2017-12-31", "2017-W52"),
            ("2018-01-01", "2018-W01"),
        ] {
            assert_eq!(Week::of(at(&format!("{day}T23:59:59Z"))).0, week, "{day}");
        }
    }

    #[test]
    fn lines_add_up_per_order_and_per_cell() {
        let catalogue = catalogue(&[(7, "GROCERY"), (8, "DELI"), (9, "GROCERY")]);
        let mut expectation = Expectation::default();
        for sale in [
            sale(1, 7, 2, 300),
            sale(1, 9, 1, 50),
            sale(1, 8, 0, 261),
            sale(2, 7, 1, 0),
            sale(3, 8, 0, 0),
            sale(4, 99, 5, 10),
        ] {
            expectation.observe(&sale, &catalogue);
        }
        let first = expectation.orders.get(&BasketNumber(1).order_id()).unwrap();
        assert_eq!((first.units, first.revenue), (3, Cents(350)));
        assert_eq!(first.customer_reference, "household-101");
        let cells: Vec<_> = expectation
            .cells
            .iter()
            .map(|(cell, sums)| (&*cell.department, sums.orders, sums.units, sums.revenue.0))
            .collect();
        assert_eq!(cells, [("GROCERY", 2, 4, 350), ("UNKNOWN", 1, 5, 10)]);
        assert_eq!(expectation.left_out(), LeftOut { zero_quantity: 2, empty_basket: 1 });
        assert_eq!(expectation.completed.unknown_product, 1);
    }
}
