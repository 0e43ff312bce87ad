//! What a run ends with: a table for people, one line of JSON for tools.

use std::collections::BTreeMap;

use anyhow::Result;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;

use super::history::Entries;
use super::plan::Kind;
use super::verdict::Verdict;
use crate::stack::console;

#[derive(Serialize)]
struct Json<'a> {
    faults: &'a BTreeMap<Kind, usize>,
    acknowledged: usize,
    violations: usize,
    longest_unavailable_ms: &'a BTreeMap<Kind, u64>,
}

pub(super) fn print(entries: &Entries, verdict: &Verdict) -> Result<()> {
    let mut faults: BTreeMap<Kind, usize> = BTreeMap::new();
    for fault in &entries.faults {
        *faults.entry(fault.kind).or_default() += 1;
    }
    let longest_unavailable_ms = &verdict.longest_unavailable_ms;
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY);
    table.set_header(["fault", "count", "longest unavailable"]);
    for (kind, count) in &faults {
        let longest = longest_unavailable_ms.get(kind).copied().unwrap_or_default();
        table.add_row([kind.to_string(), count.to_string(), format!("{longest} ms")]);
    }
    console::step(&format!("\n{table}"));
    let answered = entries.commands.iter().filter(|command| command.answer.is_some());
    let acknowledged = answered.clone().count();
    let refused = answered.filter(|it| it.answer.as_ref().is_some_and(|it| it.status >= 300));
    let retried = entries.commands.iter().filter(|command| command.tries > 1).count();
    let lines = [
        ("faults", entries.faults.len()),
        ("commands acknowledged", acknowledged),
        ("of those refused by a rule", refused.count()),
        ("sent more than once", retried),
        ("without an answer", entries.commands.len() - acknowledged),
        ("asked again, same answer", usize::try_from(entries.replays)?),
        ("reads", entries.reads.len()),
        ("events in the log", verdict.events),
        ("violations", verdict.violations.len()),
    ];
    for (what, count) in lines {
        console::step(&format!("{what:<28} {count:>9}"));
    }
    for (reason, count) in &verdict.ignored {
        console::step(&format!("ignored records, {reason:<11} {count:>9}"));
    }
    for violation in verdict.told() {
        console::step(&format!("VIOLATION {violation}"));
    }
    let violations = verdict.violations.len();
    let json = Json { faults: &faults, acknowledged, violations, longest_unavailable_ms };
    console::line(&serde_json::to_string(&json)?);
    Ok(())
}
