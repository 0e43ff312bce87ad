//! What counts in a log, and what breaks a rule.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Kind, Record};

/// What an audit of a whole topic found.
#[derive(Debug, Default)]
pub struct Audit {
    /// Each is a sentence; a sound log has none.
    pub violations: Vec<String>,
    /// Ids of the events that count, and of commands with the number of commits or outcomes they have.
    pub events: BTreeSet<String>,
    pub commands: BTreeMap<String, u32>,
    /// The last revision of each stream.
    pub revisions: BTreeMap<String, u64>,
    /// Types of the events that count, with their number.
    pub types: BTreeMap<String, u64>,
    /// Records that the protocol tells readers to ignore, by reason.
    pub ignored: BTreeMap<&'static str, u64>,
}

/// A commit or a barrier that counts.
#[derive(Debug)]
pub struct Commit {
    pub partition: usize,
    /// After its last record.
    pub next_offset: i64,
    pub records: Vec<Record>,
}

impl Audit {
    /// # Panics
    /// When the log breaks a rule, with all violations.
    pub fn assert_sound(&self) {
        assert!(self.violations.is_empty(), "{}", self.violations.join("\n"));
    }

    pub(super) fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(super) fn ignore(&mut self, reason: &'static str) {
        *self.ignored.entry(reason).or_default() += 1;
    }

    /// Takes an emitted commit into account.
    pub(super) fn emit(&mut self, commit: &Commit) {
        let Some(first) = commit.records.first() else { return };
        if first.kind == Kind::Barrier {
            for outcome in &first.outcomes {
                *self.commands.entry(outcome.command_id.clone()).or_default() += 1;
            }
            return;
        }
        *self.commands.entry(first.command_id.clone()).or_default() += 1;
        let place = format!("partition {} before {}", commit.partition, commit.next_offset);
        for event in &commit.records {
            let revision = self.revisions.entry(event.key.clone()).or_default();
            let expected = *revision + 1;
            *revision = event.revision;
            if event.revision != expected {
                let (key, found) = (&event.key, event.revision);
                self.violate(format!("{place}: {key} goes to {found}, expected {expected}"));
            }
            if !self.events.insert(event.id.clone()) {
                self.violate(format!("{place}: event {} twice", event.id));
            }
            *self.types.entry(event.event_type.clone()).or_default() += 1;
        }
    }

    pub(super) fn check_commands(&mut self) {
        let twice = self.commands.iter().filter(|(_, count)| **count > 1);
        let twice: Vec<String> =
            twice.map(|(id, count)| format!("command {id} was decided {count} times")).collect();
        self.violations.extend(twice);
    }
}
