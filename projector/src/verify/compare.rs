//! Stored rows against expected ones. Pure.

use std::collections::BTreeMap;

use chrono::DateTime;
use read_models::{Column, Kind, Table};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    fold::expected::{Columns, instant, key_of},
    store::verifications::{Difference, Report, TableReport},
};

/// One table, while its stored rows come in.
pub(super) struct Comparing<'t> {
    table: &'t Table,
    /// Those that have not been found yet.
    expected: BTreeMap<String, Columns>,
    result: TableReport,
    sums: (u128, u128),
}

impl<'t> Comparing<'t> {
    pub(super) fn new(table: &'t Table, expected: BTreeMap<String, Columns>) -> Self {
        let sum = expected.values().fold(0_u128, |sum, row| sum.wrapping_add(checksum(row)));
        let rows_expected = u64::try_from(expected.len()).unwrap_or(u64::MAX);
        let result = TableReport { rows_expected, ..TableReport::default() };
        Self { table, expected, result, sums: (sum, 0) }
    }

    /// A stored row, as PostgreSQL tells it.
    pub(super) fn found(&mut self, mut row: Columns, report: &mut Report) {
        normalise(self.table, &mut row);
        self.result.rows_found += 1;
        self.sums.1 = self.sums.1.wrapping_add(checksum(&row));
        let key = key_of(self.table, &row);
        let Some(expected) = self.expected.remove(&key) else {
            self.result.rows_differing += 1;
            report.name(difference(self.table, &key, None, (None, Some(Value::Object(row)))));
            return;
        };
        self.result.rows_differing += u64::from(expected != row);
        for Column { name, .. } in &self.table.columns {
            let (expected, found) = (expected.get(*name), row.get(*name));
            if expected != found {
                let values = (expected.cloned(), found.cloned());
                report.name(difference(self.table, &key, Some(name), values));
            }
        }
    }

    /// After the last stored row.
    pub(super) fn finish(mut self, report: &mut Report) {
        for (key, row) in self.expected {
            self.result.rows_differing += 1;
            report.name(difference(self.table, &key, None, (Some(Value::Object(row)), None)));
        }
        let (name, tables) = (self.table.name, &mut report.tables);
        let at = tables.iter().position(|it| it.table == name).unwrap_or_else(|| {
            tables.push(TableReport { table: name.to_owned(), ..TableReport::default() });
            tables.len() - 1
        });
        // The keys may be taken in parts, and sums of parts add up.
        let table = &mut tables[at];
        table.rows_expected += self.result.rows_expected;
        table.rows_found += self.result.rows_found;
        table.rows_differing += self.result.rows_differing;
        table.checksum_expected = plus(&table.checksum_expected, self.sums.0);
        table.checksum_found = plus(&table.checksum_found, self.sums.1);
    }
}

fn difference(
    table: &Table,
    key: &str,
    column: Option<&str>,
    (expected, found): (Option<Value>, Option<Value>),
) -> Difference {
    let (table, key, column) = (table.name.to_owned(), key.to_owned(), column.map(str::to_owned));
    Difference { table, key, column, expected, found }
}

/// PostgreSQL has its own way to write an instant down.
fn normalise(table: &Table, row: &mut Columns) {
    for column in table.columns.iter().filter(|column| column.kind == Kind::Time) {
        if let Some(Value::String(text)) = row.get_mut(column.name)
            && let Ok(at) = DateTime::parse_from_rfc3339(text)
        {
            *text = instant(at.to_utc());
        }
    }
}

fn checksum(row: &Columns) -> u128 {
    // The members of a map are sorted, so equal rows have equal texts.
    let text = serde_json::to_vec(row).unwrap_or_default();
    let digest = Sha256::digest(text);
    digest.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

fn plus(sum: &str, more: u128) -> String {
    let sum = u128::from_str_radix(sum, 16).unwrap_or(0);
    format!("{:032x}", sum.wrapping_add(more))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        let columns = [
            Column { name: "sku", kind: Kind::Text },
            Column { name: "on_hand", kind: Kind::Long },
            Column { name: "updated_at", kind: Kind::Time },
        ];
        Table { name: "stock", keys: 1, columns: columns.into() }
    }

    fn row(sku: &str, on_hand: i64, updated_at: &str) -> Columns {
        let row = json!({ "sku": sku, "on_hand": on_hand, "updated_at": updated_at });
        row.as_object().unwrap().clone()
    }

    fn compare(expected: &[Columns], found: &[Columns]) -> Report {
        let mut report = Report::default();
        let table = table();
        let expected = expected.iter().map(|row| (key_of(&table, row), row.clone())).collect();
        let mut comparing = Comparing::new(&table, expected);
        for row in found {
            comparing.found(row.clone(), &mut report);
        }
        comparing.finish(&mut report);
        report
    }

    const AT: &str = "2026-01-31T12:00:00.500000Z";

    #[test]
    fn equal_rows_have_equal_checksums_in_any_order() {
        let (a, b) = (row("A", 1, AT), row("B", 2, AT));
        let stored = row("A", 1, "2026-01-31T12:00:00.5+00:00");
        let report = compare(&[a, b.clone()], &[b, stored]);
        assert!(report.is_equal(), "{report:?}");
        assert_eq!(report.tables[0].checksum_expected, report.tables[0].checksum_found);
        assert_eq!((report.tables[0].rows_expected, report.tables[0].rows_found), (2, 2));
    }

    #[test]
    fn a_difference_names_the_row_and_where_there_are_two_the_column() {
        let (a, changed, b) = (row("A", 1, AT), row("A", 9, AT), row("B", 1, AT));
        let whole = |row: &Columns| Some(Value::Object(row.clone()));
        let named =
            |key, column, expected, found| difference(&table(), key, column, (expected, found));
        let (only_a, only_b) =
            (named("A", None, whole(&a), None), named("B", None, None, whole(&b)));
        let on_hand = named("A", Some("on_hand"), Some(json!(1)), Some(json!(9)));
        for (found, rows_differing, differences) in
            [(changed, 1, vec![on_hand]), (b, 2, vec![only_b, only_a])]
        {
            let report = compare(std::slice::from_ref(&a), &[found]);
            assert!(!report.is_equal());
            assert_eq!(report.differences, differences);
            assert_eq!(report.tables[0].rows_differing, rows_differing);
            assert_ne!(report.tables[0].checksum_expected, report.tables[0].checksum_found);
        }
    }
}
