//! What the nodes of one history share: time, the partition, the clients' record, and the journal
//! in which a person can read what happened.

use command_api::engine::{Answer, Outcome, SubmitError, effect::Role};
use domain::timestamp::Timestamp;
use infra::log::{OutgoingRecord, Place};

use super::{
    history::{Ask, History},
    partition::Partition,
    plan::Plan,
};

pub(super) struct Outside {
    pub(super) now: Timestamp,
    pub(super) partition: Partition,
    pub(super) history: History,
    pub(super) nodes: usize,
    /// Who should own the shard. Nodes learn of it sooner or later.
    pub(super) elected: usize,
    pub(super) journal: Journal,
}

/// Lines for a person; kept only on demand, for they cost more than the history itself.
#[derive(Default)]
pub(super) struct Journal {
    lines: Option<Vec<String>>,
}

impl Journal {
    pub(super) fn kept(keep: bool) -> Self {
        Self { lines: keep.then(Vec::new) }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

impl Outside {
    /// One node stands by; a third one has nothing to do with the shard.
    pub(super) const fn role_of(&self, node: usize) -> Role {
        match (node + self.nodes - self.elected) % self.nodes {
            0 => Role::Owner,
            1 => Role::Standby,
            _ => Role::Away,
        }
    }

    pub(super) fn note_reply(
        &mut self,
        op: usize,
        result: &Result<Answer, SubmitError>,
        plans: &[Plan],
    ) {
        let Self { history, journal, .. } = self;
        journal.note(|| {
            let plan = match history.ops.get(op).map(|op| op.ask) {
                Some(Ask::Submit { plan }) => plans[plan].name.as_str(),
                _ => "nothing",
            };
            match result {
                Ok(answer) => format!("  op {op} ({plan}) is told: {}", tell(&answer.outcome)),
                Err(error) => format!("  op {op} ({plan}) is told: {error}"),
            }
        });
    }
}

/// A record in a line.
pub(super) fn describe(record: &OutgoingRecord) -> String {
    match record {
        OutgoingRecord::Claim(claim) => format!("claim {} of {}", claim.nonce, claim.info.node),
        OutgoingRecord::Event(event) => {
            let Place { epoch, seq, index, count, .. } = event.place;
            let name = name_of(event.provenance.command_id.uuid().as_u128());
            format!("{epoch}/{seq} {index} of {count}: {} by {name}", event.event_type)
        }
        OutgoingRecord::Barrier(barrier) => {
            let ids = barrier.outcomes.iter().map(|o| name_of(o.command_id.uuid().as_u128()));
            let names: Vec<String> = ids.collect();
            let place = &barrier.place;
            format!("{}/{} barrier for {}", place.epoch, place.seq, names.join(", "))
        }
    }
}

fn tell(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Committed { stream, revision, events } => {
            format!("{} events, {stream} is at {revision}", events.len())
        }
        Outcome::Unchanged { revision } => format!("unchanged at {revision}"),
        Outcome::Rejected { code, detail, .. } => format!("{code}: {detail}"),
    }
}

/// What a command id is called: planned ones by their number, deadlines as such.
pub(super) fn name_of(key: u128) -> String {
    if key > 1_000_000 { "a deadline".to_owned() } else { format!("c{}", key.saturating_sub(1)) }
}
