//! The audit of a run: what clients saw, what the log holds and what the read models show must be
//! one story.
//!
//! **Invariant:** nothing of the services is used here: the log is read by `audit`, folded by the
//! rules as they are written down, and the read models are read with plain SQL.

mod answers;
mod availability;
mod fold;
mod looks;
mod models;
mod refusals;
mod sales;

use std::collections::BTreeMap;

use anyhow::Result;

use super::history::Entries;
use super::plan::Kind;
use super::site::Site;
use crate::audit::{Audit, audit_with};
use availability::Answers;
use fold::Fold;

/// Sentences that a report has room for; the rest is counted.
const TOLD_MAX: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) violations: Vec<String>,
    pub(super) longest_unavailable_ms: BTreeMap<Kind, u64>,
    /// Records that readers ignore, by reason.
    pub(super) ignored: BTreeMap<&'static str, u64>,
    pub(super) events: usize,
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
    looks::check(&entries.reads, &fold, &mut verdict.violations);
    sales::check(&entries.commands, &fold, &mut verdict.violations);
    models::check(site, &fold, &mut verdict.violations).await?;
    let answers = Answers::of(&entries.commands);
    availability::check(&answers, &entries.faults, &mut verdict.violations);
    verdict.longest_unavailable_ms = availability::longest(&answers, &entries.faults);
    Ok(verdict)
}

impl Verdict {
    /// The first violations, and how many more there are.
    pub(super) fn told(&self) -> impl Iterator<Item = String> {
        let more = self.violations.len().saturating_sub(TOLD_MAX);
        let rest = (more > 0).then(|| format!("and {more} more"));
        self.violations.iter().take(TOLD_MAX).cloned().chain(rest)
    }
}

#[cfg(test)]
mod tests;
