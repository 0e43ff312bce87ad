//! Tables for people.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
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
    let mut table =
        new(["projection", "shard", "next offset", "log end", "lag", "seconds", "state"]);
    for item in &status.items {
        let Item { projection, version, shard, next_offset, log_end, .. } = item;
        let state = match &item.reason {
            Some(reason) => format!("{}: {reason}", item.state.as_str()),
            None => item.state.as_str().to_owned(),
        };
        table.add_row([
            format!("{projection} v{version}"),
            shard.to_string(),
            next_offset.to_string(),
            log_end.to_string(),
            item.lag_records.to_string(),
            format!("{:.1}", item.lag_seconds),
            state,
        ]);
    }
    align_right(&mut table, 1..6);
    table.to_string()
}

/// The versions of a status, with how far each is on the whole.
pub(super) fn overview(status: &Status) -> String {
    let mut table = new(["projection", "version", "fold", "state", "passed", "records/s", "lag"]);
    for version in &status.versions {
        let at = status.progress(&version.projection, version.version);
        table.add_row([
            version.projection.clone(),
            version.version.to_string(),
            version.fold.to_string(),
            state(version),
            percent(at.passed, at.all),
            format!("{:.0}", at.rate),
            (at.all - at.passed).max(0).to_string(),
        ]);
    }
    align_right(&mut table, 1..3);
    align_right(&mut table, 4..7);
    table.to_string()
}

pub(super) fn versions<'v>(versions: impl IntoIterator<Item = &'v Version>) -> String {
    let mut table = new(["projection", "version", "fold", "state"]);
    for version in versions {
        let Version { projection, version: number, fold, .. } = version;
        let cells = [projection.clone(), number.to_string(), fold.to_string(), state(version)];
        table.add_row(cells);
    }
    align_right(&mut table, 1..3);
    table.to_string()
}

fn state(version: &Version) -> String {
    let state = match version.state {
        state if version.paused => format!("{}, paused", state.as_str()),
        VersionState::Live => match version.replaced {
            Some(replaced) => format!("live, after v{replaced}"),
            None => "live".to_owned(),
        },
        state => state.as_str().to_owned(),
    };
    match &version.problem {
        Some(problem) => format!("{state}: {problem}"),
        None => state,
    }
}

pub(super) fn report(report: &Report) -> String {
    let mut tables = new(["table", "expected", "found", "differing", "checksum"]);
    for table in &report.tables {
        let checksum = if table.checksum_expected == table.checksum_found {
            table.checksum_found.clone()
        } else {
            format!("{} instead of {}", table.checksum_found, table.checksum_expected)
        };
        tables.add_row([
            table.table.clone(),
            table.rows_expected.to_string(),
            table.rows_found.to_string(),
            table.rows_differing.to_string(),
            checksum,
        ]);
    }
    align_right(&mut tables, 1..4);
    let mut text = format!("{tables}\n{}", report.summary());
    if report.stopped > 0 {
        text.push_str(&format!(
            "\n{} streams have an event that does not fit; they were compared as before it",
            report.stopped
        ));
    }
    if !report.differences.is_empty() {
        let mut differences = new(["table", "key", "column", "expected", "found"]);
        for Difference { table, key, column, expected, found } in &report.differences {
            let column = column.as_deref().unwrap_or("(row)").to_owned();
            let cells = [table.clone(), key.clone(), column, value(expected), value(found)];
            differences.add_row(cells);
        }
        text.push_str(&format!("\n{differences}"));
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

fn percent(passed: i64, all: i64) -> String {
    match passed.saturating_mul(100).checked_div(all) {
        Some(percent) => format!("{}%", percent.min(100)),
        None => "-".to_owned(),
    }
}

pub(super) fn new<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(header);
    table
}

pub(super) fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in table.column_iter_mut().skip(columns.start).take(columns.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::{status::State, store::verifications::TableReport};

    /// Of a shard in which all is applied.
    fn item(projection: &str, shard: i32, next_offset: i64) -> Item {
        Item {
            projection: projection.to_owned(),
            version: 1,
            shard,
            next_offset,
            log_end: next_offset,
            lag_records: 0,
            lag_seconds: 0.0,
            rate: 0.0,
            state: State::Live,
            reason: None,
        }
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
        let found = Report {
            events: 300,
            stopped: 1,
            tables: vec![TableReport {
                table: "stock".to_owned(),
                rows_expected: 2,
                rows_found: 2,
                checksum_expected: "0a".to_owned(),
                checksum_found: "0b".to_owned(),
                rows_differing: 1,
            }],
            differences: vec![Difference {
                table: "stock".to_owned(),
                key: "A-1".to_owned(),
                column: Some("on_hand".to_owned()),
                expected: Some(100.into()),
                found: Some(7.into()),
            }],
        };
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
        .assert_eq(&report(&found));
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
