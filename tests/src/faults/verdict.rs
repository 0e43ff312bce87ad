//! The audit of a run: what clients saw, what the log holds and what the read models show must be
//! one story. It ends with a table for people and one line of JSON for tools.
//!
//! **Invariant:** nothing of the services is used here: the log is read by `audit`, folded by the
//! rules as they are written down, and the read models are read with plain SQL.

mod answers;
mod availability;
mod fold;
mod models;
mod refusals;
mod sales;

use std::collections::BTreeMap;

use anyhow::Result;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;

use super::history::Entries;
use super::lag::{self, Watched};
use super::plan::Kind;
use super::site::Site;
use crate::audit::{Audit, audit_with};
use availability::Answers;
use fold::Fold;
use stack::console;

/// Sentences that a report has room for; the rest is counted.
const TOLD_MAX: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) violations: Vec<String>,
    longest_unavailable_ms: BTreeMap<Kind, u64>,
    /// Of the other projections, where something befalls one.
    longest_lag_ms: BTreeMap<Kind, u64>,
    /// Records that readers ignore, by reason.
    ignored: BTreeMap<&'static str, u64>,
    events: usize,
}

/// # Errors
/// When the log or the read models cannot be read.
pub(super) async fn reach(site: &Site, entries: &Entries) -> Result<Verdict> {
    let servers = site.state.bootstrap_servers();
    let (log, fold) = audit_with(&servers, &site.state.topic, Fold::default()).await?;
    let Audit { violations, ignored, events, .. } = log;
    let mut verdict = Verdict { violations, ignored, events: events.len(), ..Verdict::default() };
    verdict.violations.extend(entries.complaints.iter().cloned());
    answers::check(&entries.commands, &fold, &mut verdict.violations);
    refusals::check(&entries.commands, &fold, &mut verdict.violations);
    answers::check_reads(&entries.reads, &fold, &mut verdict.violations);
    sales::check(&entries.commands, &fold, &mut verdict.violations);
    models::check(site, &fold, &mut verdict.violations).await?;
    let answers = Answers::of(&entries.commands);
    availability::check(&answers, &entries.faults, &mut verdict.violations);
    let watched = Watched { looks: &entries.looks, slow_commits: &entries.slow_commits };
    verdict.longest_lag_ms =
        lag::check(&entries.commands, watched, &entries.faults, &mut verdict.violations);
    verdict.longest_unavailable_ms = availability::longest(&answers, &entries.faults);
    Ok(verdict)
}

impl Verdict {
    pub(super) fn print(&self, entries: &Entries) -> Result<()> {
        let mut faults: BTreeMap<Kind, usize> = BTreeMap::new();
        for fault in &entries.faults {
            *faults.entry(fault.kind).or_default() += 1;
        }
        let Self { longest_unavailable_ms, longest_lag_ms, .. } = self;
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY);
        table.set_header(["fault", "count", "longest unavailable", "longest lag of others"]);
        for (kind, count) in &faults {
            let longest = longest_unavailable_ms.get(kind).copied().unwrap_or_default();
            let lag = longest_lag_ms.get(kind).map(|lag| format!("{lag} ms")).unwrap_or_default();
            table.add_row([kind.to_string(), count.to_string(), format!("{longest} ms"), lag]);
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
            ("events in the log", self.events),
            ("violations", self.violations.len()),
        ];
        for (what, count) in lines {
            console::step(&format!("{what:<28} {count:>9}"));
        }
        for (reason, count) in &self.ignored {
            console::step(&format!("ignored records, {reason:<11} {count:>9}"));
        }
        for violation in self.told() {
            console::step(&format!("VIOLATION {violation}"));
        }
        let line = json!({
            "faults": faults,
            "acknowledged": acknowledged,
            "violations": self.violations.len(),
            "longest_unavailable_ms": longest_unavailable_ms,
            "longest_lag_ms": longest_lag_ms,
        });
        console::line(&line.to_string());
        Ok(())
    }

    /// The first violations, and how many more there are.
    fn told(&self) -> impl Iterator<Item = String> {
        let more = self.violations.len().saturating_sub(TOLD_MAX);
        let rest = (more > 0).then(|| format!("and {more} more"));
        self.violations.iter().take(TOLD_MAX).cloned().chain(rest)
    }
}

#[cfg(test)]
mod tests;
