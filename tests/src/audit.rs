//! An auditor of the event log that knows the written protocol and nothing else.
//!
//! **Invariant:** it shares no code with what it checks: neither the record codec nor the reader
//! machine nor the routing of `infra` and `domain`. A mistake that both sides made would go unseen.

mod machine;
mod record;
mod report;
mod topic;

use anyhow::Result;
use futures_util::{FutureExt, future::BoxFuture};
use infra::log::memory::RawRecord;
use machine::Machine;
pub use machine::Taken;
use record::Raw;
pub use record::{Kind, Outcome, Record};
pub use report::{Audit, Commit};
pub(crate) use topic::watermarks;

/// Gets every commit, partition by partition in the order of the log.
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
pub fn audit<'a>(bootstrap_servers: &'a str, topic: &'a str) -> BoxFuture<'a, Result<Audit>> {
    async move {
        let (audit, ()) = audit_with(bootstrap_servers, topic, ()).await?;
        Ok(audit)
    }
    .boxed()
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
            let place = (partition.index, partition.count);
            partition.read(|offset, raw| {
                if let Taken::Commit(commit) = take(&mut machine, &mut audit, offset, raw, place) {
                    observer.observe(&commit);
                }
            })?;
        }
        audit.check_commands();
        Ok((audit, observer))
    });
    reading.await?
}

fn take(
    machine: &mut Machine,
    audit: &mut Audit,
    offset: i64,
    raw: Raw,
    place: (usize, usize),
) -> Taken {
    match record::parse(&raw) {
        Ok(record) => {
            let taken = machine.step(offset, record, audit, place);
            if let Taken::Commit(commit) = &taken {
                audit.emit(commit);
            }
            taken
        }
        Err(reason) => {
            audit.violate(format!("partition {} at {offset}: {reason}", place.0));
            Taken::Nothing
        }
    }
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
        let raw = Raw {
            key: record.key.as_deref().unwrap_or_default().to_vec(),
            value: record.value.as_deref().unwrap_or_default().to_vec(),
            headers: headers.collect(),
        };
        take(&mut self.machine, &mut self.audit, offset, raw, (0, 1))
    }

    #[must_use]
    pub fn finish(mut self) -> Audit {
        self.audit.check_commands();
        self.audit
    }
}
