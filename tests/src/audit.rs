//! An auditor of the event log that knows the written protocol and nothing else.
//!
//! **Invariant:** it shares no code with what it checks: neither the record codec nor the reader
//! machine nor the routing of `infra` and `domain`. A mistake that both sides made would go unseen.

mod machine;
mod record;
mod topic;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use infra::log::memory::RawRecord;
use machine::Machine;
pub use machine::Taken;
pub use record::{Kind, Outcome, Record};

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

/// Who wants to know of every commit, partition by partition in the order of the log.
pub trait Observer: Send + 'static {
    fn observe(&mut self, commit: &Commit);
}

impl Observer for () {
    fn observe(&mut self, _commit: &Commit) {}
}

/// Reads a topic from its beginning to its present end and checks every rule.
///
/// # Errors
/// When the topic cannot be read.
pub async fn audit(bootstrap_servers: &str, topic: &str) -> Result<Audit> {
    let (audit, ()) = audit_with(bootstrap_servers, topic, ()).await?;
    Ok(audit)
}

/// As [`audit`], and tells `observer` of what counts.
///
/// # Errors
/// When the topic cannot be read.
pub async fn audit_with<O: Observer>(
    bootstrap_servers: &str,
    topic: &str,
    mut observer: O,
) -> Result<(Audit, O)> {
    let (servers, topic) = (bootstrap_servers.to_owned(), topic.to_owned());
    let reading = tokio::task::spawn_blocking(move || {
        let mut audit = Audit::default();
        for partition in topic::open(&servers, &topic)? {
            let mut machine = Machine::default();
            partition.read(|offset, raw| match record::parse(raw) {
                Ok(record) => {
                    let place = (partition.index, partition.count);
                    if let Taken::Commit(commit) = machine.step(offset, record, &mut audit, place) {
                        audit.emit(&commit);
                        observer.observe(&commit);
                    }
                }
                Err(reason) => {
                    audit.violate(format!("partition {} at {offset}: {reason}", partition.index));
                }
            })?;
        }
        audit.check_commands();
        Ok((audit, observer))
    });
    reading.await?
}

/// An audit of the only partition of a topic, record by record.
#[derive(Debug, Default)]
pub struct PartitionAudit {
    machine: Machine,
    audit: Audit,
}

impl PartitionAudit {
    pub fn take(&mut self, offset: i64, record: &RawRecord) -> Taken {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = record.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        let raw = record::Raw {
            key: record.key.as_deref().unwrap_or_default().to_vec(),
            value: record.value.as_deref().unwrap_or_default().to_vec(),
            headers: headers.collect(),
        };
        match record::parse(raw) {
            Ok(record) => {
                let taken = self.machine.step(offset, record, &mut self.audit, (0, 1));
                if let Taken::Commit(commit) = &taken {
                    self.audit.emit(commit);
                }
                taken
            }
            Err(reason) => {
                self.audit.violate(format!("at {offset}: {reason}"));
                Taken::Nothing
            }
        }
    }

    #[must_use]
    pub fn finish(mut self) -> Audit {
        self.audit.check_commands();
        self.audit
    }
}

impl Audit {
    /// # Panics
    /// When the log breaks a rule, with all violations.
    pub fn assert_sound(&self) {
        assert!(self.violations.is_empty(), "{}", self.violations.join("\n"));
    }

    fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    fn ignore(&mut self, reason: &'static str) {
        *self.ignored.entry(reason).or_default() += 1;
    }

    /// Takes an emitted commit into account.
    fn emit(&mut self, commit: &Commit) {
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

    fn check_commands(&mut self) {
        let twice = self.commands.iter().filter(|(_, count)| **count > 1);
        let twice: Vec<String> =
            twice.map(|(id, count)| format!("command {id} was decided {count} times")).collect();
        self.violations.extend(twice);
    }
}
