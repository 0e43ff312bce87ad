//! Tables for people.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::Value;

use crate::{
    status::{Item, Status},
    verify::{Difference, Report},
    versions::{Version, VersionState},
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

fn new<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(header);
    table
}

fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in table.column_iter_mut().skip(columns.start).take(columns.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
