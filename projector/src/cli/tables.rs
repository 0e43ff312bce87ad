//! Tables for people.

use std::fmt::Display;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::Value;

use crate::{
    status::{Item, Status},
    store::{
        verifications::{Difference, Report},
        versions::{Version, VersionState},
    },
};

/// Characters of a value; documents are longer than a line.
const VALUE_CHARS_MAX: usize = 60;

pub(super) fn status(status: &Status) -> String {
    let header = ["projection", "shard", "next offset", "log end", "lag", "seconds", "state"];
    let mut table = new(header, &[1, 2, 3, 4, 5]);
    for item in &status.items {
        let Item { projection, version, shard, next_offset, log_end, lag_records, .. } = item;
        let name = format!("{projection} v{version}");
        let seconds = format!("{:.1}", item.lag_seconds);
        let state = because(item.state.as_str(), item.reason.as_deref());
        add(&mut table, [&name, shard, next_offset, log_end, lag_records, &seconds, &state]);
    }
    table.to_string()
}

/// The versions of a status, with how far each is on the whole.
pub(super) fn overview(status: &Status) -> String {
    let header = ["projection", "version", "fold", "state", "passed", "records/s", "lag"];
    let mut table = new(header, &[1, 2, 4, 5, 6]);
    for version in &status.versions {
        let Version { projection, version: number, fold, .. } = version;
        let at = status.progress(projection, *number);
        let passed = match at.passed.saturating_mul(100).checked_div(at.all) {
            Some(percent) => format!("{}%", percent.min(100)),
            None => "-".to_owned(),
        };
        let (rate, lag) = (format!("{:.0}", at.rate), (at.all - at.passed).max(0));
        add(&mut table, [projection, number, fold, &state(version), &passed, &rate, &lag]);
    }
    table.to_string()
}

pub(super) fn version(version: &Version) -> String {
    let mut table = new(["projection", "version", "fold", "state"], &[1, 2]);
    let Version { projection, version: number, fold, .. } = version;
    add(&mut table, [projection, number, fold, &state(version)]);
    table.to_string()
}

fn state(version: &Version) -> String {
    let state = version.state.as_str();
    let state = match (version.state, version.replaced) {
        _ if version.paused => format!("{state}, paused"),
        (VersionState::Live, Some(replaced)) => format!("{state}, after v{replaced}"),
        _ => state.to_owned(),
    };
    because(&state, version.problem.as_deref())
}

fn because(state: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    }
}

pub(super) fn report(report: &Report) -> String {
    let mut tables = new(["table", "expected", "found", "differing", "checksum"], &[1, 2, 3]);
    for it in &report.tables {
        let checksum = if it.checksum_expected == it.checksum_found {
            it.checksum_found.clone()
        } else {
            format!("{} instead of {}", it.checksum_found, it.checksum_expected)
        };
        let (expected, found) = (&it.rows_expected, &it.rows_found);
        add(&mut tables, [&it.table, expected, found, &it.rows_differing, &checksum]);
    }
    let mut text = format!("{tables}\n{}", report.summary());
    if report.stopped > 0 {
        text += &format!(
            "\n{} streams have an event that does not fit; they were compared as before it",
            report.stopped
        );
    }
    if !report.differences.is_empty() {
        let mut differences = new(["table", "key", "column", "expected", "found"], &[]);
        for Difference { table, key, column, expected, found } in &report.differences {
            let column = column.as_deref().unwrap_or("(row)");
            add(&mut differences, [table, key, &column, &value(expected), &value(found)]);
        }
        text += &format!("\n{differences}");
    }
    text
}

fn value(value: &Option<Value>) -> String {
    let text = match value {
        None => return "(none)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX).chain(['…']).collect()
}

/// No wider than the terminal; the columns of these indexes are numbers.
pub(super) fn new<const N: usize>(header: [&str; N], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    for &index in numbers {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

pub(super) fn add<const N: usize>(table: &mut Table, cells: [&dyn Display; N]) {
    table.add_row(cells);
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::status::State;

    /// Of a shard in which all is applied.
    fn item(projection: &str, shard: i32, next_offset: i64) -> Item {
        let item = json!({
            "projection": projection, "version": 1, "shard": shard, "state": "live",
            "next_offset": next_offset, "log_end": next_offset,
            "lag_records": 0, "lag_seconds": 0.0, "rate": 0.0,
        });
        serde_json::from_value(item).unwrap()
    }

    #[test]
    fn the_table_shows_each_projection_per_shard_and_why_one_is_halted() {
        let live = item("orders", 0, 12_345);
        let halted = Item {
            lag_records: 3,
            log_end: 10,
            lag_seconds: 4.25,
            state: State::Halted,
            reason: Some("an event does not fit".to_owned()),
            ..item("stock", 1, 7)
        };
        let shown = status(&Status { versions: vec![], items: vec![live, halted] });
        expect![[r#"
            ┌────────────┬───────┬─────────────┬─────────┬─────┬─────────┬───────────────────────────────┐
            │ projection ┆ shard ┆ next offset ┆ log end ┆ lag ┆ seconds ┆ state                         │
            ╞════════════╪═══════╪═════════════╪═════════╪═════╪═════════╪═══════════════════════════════╡
            │ orders v1  ┆     0 ┆       12345 ┆   12345 ┆   0 ┆     0.0 ┆ live                          │
            │ stock v1   ┆     1 ┆           7 ┆      10 ┆   3 ┆     4.2 ┆ halted: an event does not fit │
            └────────────┴───────┴─────────────┴─────────┴─────┴─────────┴───────────────────────────────┘"#]].assert_eq(&shown);
    }

    #[test]
    fn a_report_names_what_differs() {
        let found = json!({
            "events": 300, "stopped": 1,
            "tables": [{
                "table": "stock", "rows_expected": 2, "rows_found": 2, "rows_differing": 1,
                "checksum_expected": "0a", "checksum_found": "0b",
            }],
            "differences": [{
                "table": "stock", "key": "A-1", "column": "on_hand", "expected": 100, "found": 7,
            }],
        });
        expect![[r#"
            ┌───────┬──────────┬───────┬───────────┬──────────────────┐
            │ table ┆ expected ┆ found ┆ differing ┆ checksum         │
            ╞═══════╪══════════╪═══════╪═══════════╪══════════════════╡
            │ stock ┆        2 ┆     2 ┆         1 ┆ 0b instead of 0a │
            └───────┴──────────┴───────┴───────────┴──────────────────┘
            1 of 2 rows differ from the fold of 300 events
            1 streams have an event that does not fit; they were compared as before it
            ┌───────┬─────┬─────────┬──────────┬───────┐
            │ table ┆ key ┆ column  ┆ expected ┆ found │
            ╞═══════╪═════╪═════════╪══════════╪═══════╡
            │ stock ┆ A-1 ┆ on_hand ┆ 100      ┆ 7     │
            └───────┴─────┴─────────┴──────────┴───────┘"#]]
        .assert_eq(&report(&serde_json::from_value(found).unwrap()));
    }

    #[test]
    fn an_overview_shows_each_version_and_what_holds_it_up() {
        let live = Version::sample("orders", 2, 1, VersionState::Live);
        let live = Version { replaced: Some(1), ..live };
        let paused =
            Version { version: 3, state: VersionState::Copying, paused: true, ..live.clone() };
        let problem = Some("halted in shard 1: an event does not fit".to_owned());
        let stuck =
            Version { version: 4, state: VersionState::CatchingUp, problem, ..live.clone() };
        let item = Item { version: 3, log_end: 1_000, rate: 125.4, ..item("orders", 0, 250) };
        let status = Status { versions: vec![live, paused, stuck], items: vec![item] };
        expect![[r#"
            ┌────────────┬─────────┬──────┬───────────────────────────────────────────────────────┬────────┬───────────┬─────┐
            │ projection ┆ version ┆ fold ┆ state                                                 ┆ passed ┆ records/s ┆ lag │
            ╞════════════╪═════════╪══════╪═══════════════════════════════════════════════════════╪════════╪═══════════╪═════╡
            │ orders     ┆       2 ┆    1 ┆ live, after v1                                        ┆      - ┆         0 ┆   0 │
            │ orders     ┆       3 ┆    1 ┆ copying, paused                                       ┆    25% ┆       125 ┆ 750 │
            │ orders     ┆       4 ┆    1 ┆ catching_up: halted in shard 1: an event does not fit ┆      - ┆         0 ┆   0 │
            └────────────┴─────────┴──────┴───────────────────────────────────────────────────────┴────────┴───────────┴─────┘"#]].assert_eq(&overview(&status));
    }
}
