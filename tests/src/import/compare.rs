//! The reconciliation: what the file says against what the read models say, to the cent.
//!
//! First order by order, by the ids of the chosen baskets: so it does not matter what else the
//! system holds, more baskets than were chosen now included. Then the sales report: its cells must
//! be the expected ones plus those of other sales at the till on the same days, as the list of
//! orders shows them.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    expectation::{Cell, Expectation, ExpectedOrder, Sums, Week},
    found::Found,
    number::Cents,
    queries::{OrderRead, SalesRow},
};

/// The department of a line without one, as the report calls it.
const NO_DEPARTMENT: &str = "UNKNOWN";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// An order with its basket, a cell of the report, or the total.
    pub(crate) place: String,
    pub(crate) field: &'static str,
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// The sales report in total and per department and week.
#[derive(Debug, Default)]
pub(crate) struct SalesReport {
    pub(crate) total: Vec<SalesRow>,
    pub(crate) cells: Vec<SalesRow>,
}

/// Every difference, in a stable order.
pub(crate) fn differences(
    expectation: &Expectation,
    found: &Found,
    report: &SalesReport,
) -> Vec<Difference> {
    let mut differences = Differences::default();
    let mut orders: Vec<_> = expectation.orders.iter().collect();
    orders.sort_by_key(|(_, order)| order.basket);
    for (id, expected) in orders {
        differences.order(
            &format!("order {id} (basket {})", expected.basket.0),
            expected,
            found.orders.get(id),
        );
    }
    let others = &found.others;
    differences.sums("sales report, total", total(expectation, others), report.total());
    let expected = cells(expectation, others);
    let found = report.cells();
    for (cell, sums) in &expected {
        let found = found.get(cell).copied().unwrap_or_default();
        differences.sums(&format!("sales report, {cell}"), *sums, found);
    }
    for (cell, sums) in found.iter().filter(|(cell, _)| !expected.contains_key(cell)) {
        differences.sums(&format!("sales report, {cell}"), Sums::default(), *sums);
    }
    differences.0
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn order(&mut self, place: &str, expected: &ExpectedOrder, found: Option<&OrderRead>) {
        let Some(found) = found else {
            return self.check(place, "status", "confirmed", "missing");
        };
        if !found.counts_as_sale() {
            return self.check(place, "status", "confirmed", &found.status);
        }
        self.sums(place, expected.sums(), found.sums());
        self.check(place, "lines add up", "yes", if found.is_consistent() { "yes" } else { "no" });
        let reference = found.customer_reference.as_deref().unwrap_or_default();
        self.check(place, "customer_reference", expected.customer_reference.as_str(), reference);
        self.check(place, "placed_at", &expected.placed_at, &found.placed_at);
    }

    fn sums(&mut self, place: &str, expected: Sums, found: Sums) {
        self.check(place, "orders", &expected.orders, &found.orders);
        self.check(place, "units", &expected.units, &found.units);
        self.check(place, "revenue", &expected.revenue, &found.revenue);
    }

    fn check<T: PartialEq + fmt::Display + ?Sized>(
        &mut self,
        place: &str,
        field: &'static str,
        expected: &T,
        found: &T,
    ) {
        if expected != found {
            let (expected, found) = (expected.to_string(), found.to_string());
            self.0.push(Difference { place: place.to_owned(), field, expected, found });
        }
    }
}

fn total(expectation: &Expectation, others: &[OrderRead]) -> Sums {
    let ours = expectation.orders.values().map(ExpectedOrder::sums);
    ours.chain(others.iter().map(OrderRead::sums)).sum()
}

fn cells(expectation: &Expectation, others: &[OrderRead]) -> BTreeMap<Cell, Sums> {
    let mut cells = expectation.cells.clone();
    for order in others {
        for (cell, sums) in order.cells() {
            cells.entry(cell).or_default().add(sums);
        }
    }
    cells
}

impl OrderRead {
    fn cells(&self) -> BTreeMap<Cell, Sums> {
        let week = Week::of(self.placed_at);
        let mut cells: BTreeMap<Cell, Sums> = BTreeMap::new();
        for line in &self.lines {
            let department = line.department.as_deref().unwrap_or(NO_DEPARTMENT).into();
            let sums = cells.entry(Cell { department, week: week.clone() }).or_default();
            sums.orders = 1;
            sums.units += line.quantity;
            sums.revenue.0 += line.total.amount;
        }
        cells
    }
}

impl SalesReport {
    fn total(&self) -> Sums {
        self.total.iter().map(SalesRow::sums).sum()
    }

    fn cells(&self) -> BTreeMap<Cell, Sums> {
        let mut cells: BTreeMap<Cell, Sums> = BTreeMap::new();
        for row in &self.cells {
            let department = row.department.as_deref().unwrap_or(NO_DEPARTMENT).into();
            let week = Week(row.week.clone().unwrap_or_default());
            cells.entry(Cell { department, week }).or_default().add(row.sums());
        }
        cells
    }
}

impl ExpectedOrder {
    fn sums(&self) -> Sums {
        Sums { orders: 1, units: self.units, revenue: self.revenue }
    }
}

impl SalesRow {
    fn sums(&self) -> Sums {
        Sums { orders: self.orders, units: self.units, revenue: Cents(self.revenue.amount) }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.department, self.week.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::import::{
        number::BasketNumber,
        table::samples::{catalogue, sale},
    };

    /// Baskets 1 and 2 of department GROCERY in week 2017-W01.
    fn expectation() -> Expectation {
        let catalogue = catalogue(&[(7, "GROCERY")]);
        let mut expectation = Expectation::default();
        for sale in [sale(1, 7, 2, 300), sale(2, 7, 1, 150)] {
            expectation.observe(&sale, &catalogue);
        }
        expectation
    }

    fn order(basket: u64, quantity: u64, cents: i64) -> OrderRead {
        let money = json!({ "amount": cents, "currency": "USD" });
        let order = json!({
            "id": BasketNumber(basket).order_id(),
            "status": "confirmed",
            "channel": "pos",
            "customer_reference": format!("household-{}", basket + 100),
            "placed_at": "2017-01-02T10:00:00Z",
            "lines": [
                { "sku": "7", "department": "GROCERY", "quantity": quantity, "total": money }
            ],
            "totals": { "total": money },
        });
        serde_json::from_value(order).unwrap()
    }

    fn row(orders: u64, units: u64, cents: i64) -> SalesRow {
        let revenue = json!({ "amount": cents, "currency": "USD" });
        let cell = json!({
            "department": "GROCERY", "week": "2017-W01",
            "orders": orders, "units": units, "revenue": revenue,
        });
        serde_json::from_value(cell).unwrap()
    }

    #[track_caller]
    fn check(ours: Vec<OrderRead>, others: Vec<OrderRead>, row: SalesRow, expected: &[&str]) {
        let orders = ours.into_iter().map(|order| (order.id, order)).collect();
        let report = SalesReport { total: vec![row.clone()], cells: vec![row] };
        let found: Vec<String> = differences(&expectation(), &Found { orders, others }, &report)
            .into_iter()
            .map(|d| {
                let place = d.place.split_once("(basket").map_or(&*d.place, |(_, basket)| basket);
                format!("{place} {}: {} / {}", d.field, d.expected, d.found)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_difference_is_told_and_nothing_else() {
        let sound = || vec![order(1, 2, 300), order(2, 1, 150)];
        check(sound(), vec![], row(2, 3, 450), &[]);
        // Orders of others are allowed for.
        check(sound(), vec![order(3, 5, 1_000)], row(3, 8, 1_450), &[]);
        // A cent is a difference.
        let ours = vec![order(1, 2, 301), order(2, 1, 150)];
        check(ours, vec![], row(2, 3, 450), &[" 1) revenue: 3.00 / 3.01"]);
        let expected = [
            "sales report, total revenue: 4.50 / 4.49",
            "sales report, GROCERY 2017-W01 revenue: 4.50 / 4.49",
        ];
        check(sound(), vec![], row(2, 3, 449), &expected);
        // So is an order that is not sold, or not there.
        let rejected = OrderRead { status: "rejected".to_owned(), ..order(1, 2, 300) };
        let expected = [" 1) status: confirmed / rejected", " 2) status: confirmed / missing"];
        check(vec![rejected], vec![], row(2, 3, 450), &expected);
        // So is a total that its lines do not give.
        let mut broken = sound();
        broken[0].lines[0].total.amount = 299;
        check(broken, vec![], row(2, 3, 450), &[" 1) lines add up: yes / no"]);
    }
}
