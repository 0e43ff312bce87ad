//! What the log says, as the auditor reads it, and whether each decision in it was right.

use std::collections::BTreeMap;

use command_api::engine::{EventRef, Outcome};
use domain::{
    Event, State,
    id::{CommandId, StreamId},
    timestamp::Timestamp,
};
use infra::{
    codec,
    log::{
        BarrierRecord, Body, EventRecord, LogRecord, Offset, OutgoingRecord, RequestHash,
        memory::RawRecord,
    },
};

use super::super::{history::Violation, outside::name_of, plan::Plan, world::World};
use crate::audit::{PartitionAudit, Taken};

pub(super) struct Truth<'a> {
    pub(super) commits: Vec<Emitted<'a>>,
    pub(super) outcomes: BTreeMap<CommandId, Logged>,
    /// The states of each stream, by revision.
    pub(super) streams: BTreeMap<StreamId, Vec<State>>,
}

pub(super) struct Emitted<'a> {
    pub(super) epoch: Offset,
    pub(super) next_offset: Offset,
    pub(super) recorded_at: Timestamp,
    pub(super) body: EmittedBody<'a>,
}

pub(super) enum EmittedBody<'a> {
    Events(Vec<&'a EventRecord>),
    Barrier(&'a BarrierRecord),
}

impl Emitted<'_> {
    /// How many events of a stream it has.
    pub(super) fn events_of(&self, stream: &StreamId) -> usize {
        match &self.body {
            EmittedBody::Events(events) if events[0].stream == *stream => events.len(),
            EmittedBody::Events(_) | EmittedBody::Barrier(_) => 0,
        }
    }
}

/// An outcome as the log has it.
pub(super) struct Logged {
    pub(super) request_hash: RequestHash,
    pub(super) outcome: Outcome,
    pub(super) next_offset: Offset,
    /// Of the stream when it was logged.
    pub(super) revision: u64,
}

impl<'a> Truth<'a> {
    pub(super) fn read(world: &'a World) -> Result<Self, Violation> {
        let commits = commits(&world.outside.partition.records)?;
        let mut truth =
            Self { commits: vec![], outcomes: BTreeMap::new(), streams: BTreeMap::new() };
        for plan in &world.plans {
            let stream = plan.addressed.stream();
            let states = stream.stream_type().map(|kind| kind.empty());
            truth.streams.insert(stream.clone(), states.into_iter().collect());
        }
        for commit in commits {
            match &commit.body {
                EmittedBody::Events(events) => truth.take_events(events, &commit, world)?,
                EmittedBody::Barrier(barrier) => truth.take_barrier(barrier, &commit, world)?,
            }
            truth.commits.push(commit);
        }
        truth.check_time()?;
        Ok(truth)
    }

    pub(super) fn revision(&self, stream: &StreamId) -> u64 {
        let states = self.streams.get(stream).map_or(0, |states| states.len() - 1);
        u64::try_from(states).unwrap_or(u64::MAX)
    }

    fn take_events(
        &mut self,
        records: &[&EventRecord],
        commit: &Emitted<'_>,
        world: &World,
    ) -> Result<(), Violation> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let command_id = first.provenance.command_id;
        let name = name_of(command_id.uuid().as_u128());
        let wrong = |detail: String| {
            Err(Violation::new("decisions are right", format!("{name}: {detail}")).about(&name))
        };
        let request_hash = first.request_hash.unwrap_or(RequestHash([0; 16]));
        let plan = plan_of(world, command_id, request_hash);
        let expire = first.stream.stream_type().and_then(|kind| kind.expire());
        let command = plan.map(|plan| plan.addressed.command()).or(expire.as_ref());
        let before = self.revision(&first.stream);
        if plan.and_then(|plan| plan.expected_revision).is_some_and(|wanted| wanted != before) {
            return wrong(format!("committed at revision {before}, against If-Match"));
        }
        let events: Result<Vec<Event>, _> = records.iter().map(|r| codec::decode(r)).collect();
        let events = events.map_err(|e| Violation::new("decisions are right", e.to_string()))?;
        let states = self.streams.entry(first.stream.clone()).or_default();
        let Some(mut state) = states.last().cloned() else { return Ok(()) };
        let decided = command.map(|command| state.decide(command, commit.recorded_at));
        if decided != Some(Ok(events.clone())) {
            return wrong(format!("led to {events:?}, but should to {decided:?}"));
        }
        for event in &events {
            if !state.evolve(event) {
                return wrong(format!("{event:?} is no event of its stream"));
            }
            states.push(state.clone());
        }
        let events = records
            .iter()
            .map(|record| EventRef { id: record.id, event_type: record.event_type.clone() });
        let outcome = Outcome::Committed {
            stream: first.stream.clone(),
            revision: last.revision,
            events: events.collect(),
        };
        let (next_offset, revision) = (commit.next_offset, before);
        let logged = Logged { request_hash, outcome, next_offset, revision };
        self.outcomes.insert(command_id, logged);
        Ok(())
    }

    fn take_barrier(
        &mut self,
        barrier: &BarrierRecord,
        commit: &Emitted<'_>,
        world: &World,
    ) -> Result<(), Violation> {
        for outcome in &barrier.outcomes {
            let (command_id, request_hash) = (outcome.command_id, outcome.request_hash);
            let text = |name: &str| outcome.body.get(name)?.as_str().map(str::to_owned);
            let revision = outcome.body.get("revision").and_then(serde_json::Value::as_u64);
            let stored = match (revision, text("code"), text("detail")) {
                (Some(revision), ..) => Outcome::Unchanged { revision },
                (None, Some(code), Some(detail)) => {
                    Outcome::Rejected { status: outcome.status, code, detail }
                }
                _ => return Err(Violation::new("decisions are right", outcome.body.to_string())),
            };
            let plan = plan_of(world, command_id, request_hash);
            let revision = plan.map_or(0, |plan| self.revision(plan.addressed.stream()));
            let next_offset = commit.next_offset;
            let logged = Logged { request_hash, outcome: stored, next_offset, revision };
            self.outcomes.insert(command_id, logged);
        }
        Ok(())
    }

    /// Within an epoch there is one writer, and its time goes forward.
    fn check_time(&self) -> Result<(), Violation> {
        let pairs = self.commits.iter().zip(self.commits.iter().skip(1));
        for (before, after) in pairs.filter(|(before, after)| before.epoch == after.epoch) {
            if after.recorded_at < before.recorded_at {
                let detail = format!("back from {} to {}", before.recorded_at, after.recorded_at);
                return Err(Violation::new("time goes forward", detail));
            }
        }
        Ok(())
    }
}

pub(super) fn plan_of(world: &World, id: CommandId, hash: RequestHash) -> Option<&Plan> {
    world.plans.iter().find(|plan| plan.command_id == id && plan.request_hash == hash)
}

/// What the auditor finds that counts, with the records that it is made of.
fn commits(records: &[LogRecord]) -> Result<Vec<Emitted<'_>>, Violation> {
    let mut audit = PartitionAudit::default();
    let (mut commits, mut partial) = (Vec::new(), Vec::new());
    for record in records {
        let outgoing = match &record.body {
            Body::Claim(claim) => OutgoingRecord::Claim(claim.clone()),
            Body::Event(event) => OutgoingRecord::Event(event.clone()),
            Body::Barrier(barrier) => OutgoingRecord::Barrier(barrier.clone()),
            Body::Foreign(_) => continue,
        };
        if matches!(record.body, Body::Claim(_)) {
            partial.clear();
        }
        let raw = RawRecord::of(&outgoing)
            .map_err(|error| Violation::new("the log is sound", error.to_string()))?;
        let taken = audit.take(record.offset, &raw);
        let next_offset = record.offset + 1;
        match &record.body {
            _ if matches!(taken, Taken::Nothing) => {}
            Body::Event(event) => {
                partial.push(&**event);
                if matches!(taken, Taken::Commit(_)) {
                    let (epoch, recorded_at) = (event.place.epoch, event.recorded_at);
                    let body = EmittedBody::Events(std::mem::take(&mut partial));
                    commits.push(Emitted { epoch, next_offset, recorded_at, body });
                }
            }
            Body::Barrier(barrier) => {
                let (epoch, recorded_at) = (barrier.place.epoch, barrier.recorded_at);
                let body = EmittedBody::Barrier(barrier);
                commits.push(Emitted { epoch, next_offset, recorded_at, body });
            }
            Body::Claim(_) | Body::Foreign(_) => {}
        }
    }
    let violations = audit.finish().violations;
    match violations.first() {
        None => Ok(commits),
        Some(first) => Err(named(first, "the log is sound")),
    }
}

/// The auditor names commands by their ids; the history by short names.
fn named(text: &str, check: &'static str) -> Violation {
    let words = text.split_whitespace();
    let id = words.filter_map(|word| word.parse::<uuid::Uuid>().ok()).next();
    match id.map(|id| name_of(id.as_u128())) {
        Some(name) => Violation::new(check, format!("{text} ({name})")).about(name),
        None => Violation::new(check, text.to_owned()),
    }
}
