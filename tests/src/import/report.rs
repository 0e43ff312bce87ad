//! What the import says in the end: one JSON line for machines, a table for people.

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use domain::money::Money;
use serde::Serialize;

use super::{
    compare::Difference,
    expectation::{Completed, LeftOut, Sums},
    gateway::{Refusal, Tally},
    number::Cents,
};

/// More are counted, not listed.
const LISTED_MAX: usize = 100;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Commands; one that was repeated counts once.
    pub(crate) sent: u64,
    /// Commands that took effect now or in an earlier import.
    pub(crate) accepted: u64,
    pub(crate) refused: Vec<Refusal>,
    pub(crate) left_out: LeftOut,
    pub(crate) completed: Completed,
    /// Orders of the chosen baskets, as the read models have them.
    pub(crate) orders: u64,
    pub(crate) units: u64,
    pub(crate) revenue: Money,
    pub(crate) difference_count: usize,
    pub(crate) differences: Vec<Difference>,
}

impl Report {
    pub(crate) fn new(
        tally: &Tally,
        (left_out, completed): (LeftOut, Completed),
        sold: Sums,
        mut differences: Vec<Difference>,
    ) -> Self {
        let difference_count = differences.len();
        differences.truncate(LISTED_MAX);
        Self {
            sent: tally.sent,
            accepted: tally.accepted,
            refused: tally.refused.iter().take(LISTED_MAX).cloned().collect(),
            left_out,
            completed,
            orders: sold.orders,
            units: sold.units,
            revenue: sold.revenue.money(),
            difference_count,
            differences,
        }
    }

    pub(crate) fn is_reconciled(&self) -> bool {
        self.difference_count == 0
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut summary = Table::new();
        summary.load_preset(UTF8_BORDERS_ONLY);
        for (what, count) in [
            ("commands sent", self.sent),
            ("commands accepted", self.accepted),
            ("lines left out: quantity 0", self.left_out.zero_quantity),
            ("baskets left out: no line left", self.left_out.empty_basket),
            ("lines completed: product of department UNKNOWN", self.completed.unknown_product),
            ("orders", self.orders),
            ("units", self.units),
        ] {
            summary.add_row([what.to_owned(), count.to_string()]);
        }
        let revenue = Cents(self.revenue.amount);
        summary.add_row(["revenue".to_owned(), format!("{revenue} {}", self.revenue.currency)]);
        let mut text = format!("{summary}\n");
        if !self.refused.is_empty() {
            text.push_str(&self.refused_table());
        }
        if self.is_reconciled() {
            text.push_str("The read models say what went in, to the cent.");
        } else {
            text.push_str(&self.differences_table());
        }
        text
    }

    fn refused_table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY);
        table.set_header(["REFUSED", "STATUS", "CODE", "WHY"]);
        for refusal in &self.refused {
            let status = refusal.status.to_string();
            table.add_row([&refusal.idempotency_key, &status, &refusal.code, &refusal.detail]);
        }
        format!("{table}\n")
    }

    fn differences_table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY);
        table.set_header(["DIFFERENCE", "FIELD", "EXPECTED", "FOUND"]);
        for difference in &self.differences {
            let Difference { place, field, expected, found } = difference;
            table.add_row([place.as_str(), field, expected, found]);
        }
        let unlisted = self.difference_count - self.differences.len();
        let more = if unlisted > 0 { format!(" ({unlisted} more)") } else { String::new() };
        format!("{table}\n{} differences{more}", self.difference_count)
    }
}
