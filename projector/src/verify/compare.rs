//! Stored rows against expected ones. Pure.

use std::collections::BTreeMap;

use chrono::DateTime;
use read_models::{Kind, Table};
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
        let result = TableReport {
            table: table.name.to_owned(),
            rows_expected: count(expected.len()),
            ..TableReport::default()
        };
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
            let (table, found) = (self.table.name.to_owned(), Some(Value::Object(row)));
            report.name(Difference { table, key, column: None, expected: None, found });
            return;
        };
        if expected == row {
            return;
        }
        self.result.rows_differing += 1;
        for column in &self.table.columns {
            let (expected, found) = (expected.get(column.name), row.get(column.name));
            if expected != found {
                report.name(Difference {
                    table: self.table.name.to_owned(),
                    key: key.clone(),
                    column: Some(column.name.to_owned()),
                    expected: expected.cloned(),
                    found: found.cloned(),
                });
            }
        }
    }

    /// After the last stored row.
    pub(super) fn finish(mut self, report: &mut Report) {
        for (key, row) in self.expected {
            self.result.rows_differing += 1;
            let (table, expected) = (self.table.name.to_owned(), Some(Value::Object(row)));
            report.name(Difference { table, key, column: None, expected, found: None });
        }
        let (expected, found) = self.sums;
        let before = report.tables.iter_mut().find(|before| before.table == self.result.table);
        match before {
            // The keys were taken in parts, and sums of parts add up.
            Some(before) => {
                before.rows_expected += self.result.rows_expected;
                before.rows_found += self.result.rows_found;
                before.rows_differing += self.result.rows_differing;
                before.checksum_expected = plus(&before.checksum_expected, expected);
                before.checksum_found = plus(&before.checksum_found, found);
            }
            None => {
                self.result.checksum_expected = plus("", expected);
                self.result.checksum_found = plus("", found);
                report.tables.push(self.result);
            }
        }
    }
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

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use read_models::Column;
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
    fn a_difference_names_row_and_column() {
        let report = compare(&[row("A", 1, AT)], &[row("A", 9, AT)]);
        assert!(!report.is_equal());
        let expected = Difference {
            table: "stock".to_owned(),
            key: "A".to_owned(),
            column: Some("on_hand".to_owned()),
            expected: Some(json!(1)),
            found: Some(json!(9)),
        };
        assert_eq!(report.differences, [expected]);
        assert_ne!(report.tables[0].checksum_expected, report.tables[0].checksum_found);
    }

    #[test]
    fn rows_that_are_missing_or_too_many_are_named() {
        let report = compare(&[row("A", 1, AT)], &[row("B", 1, AT)]);
        let keys: Vec<_> = report
            .differences
            .iter()
            .map(|it| (&*it.key, it.expected.is_some(), it.found.is_some()))
            .collect();
        assert_eq!(keys, [("B", false, true), ("A", true, false)]);
        assert_eq!(report.tables[0].rows_differing, 2);
    }
}
