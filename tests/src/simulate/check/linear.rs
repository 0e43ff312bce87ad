//! Each aggregate behaves as one object: there is a moment between question and answer at which
//! every outcome, refusals included, was the right one.
//!
//! The log orders the commits of a stream. What is left to find is a revision for each refusal (and
//! each command that changed nothing): one at which the domain says just that, not older than what
//! anybody had been told before the question, and not newer than what had been asked before the
//! answer. Taking the oldest that fits leaves most room for the others, so greed is exact.

use command_api::engine::Outcome;
use domain::{
    State,
    aggregate::{Refusal, RejectionKind},
    id::StreamId,
};

use super::{
    super::{
        history::{Ask, Op, Reply, Told, Violation},
        plan::{self, Plan},
        world::World,
    },
    truth::{Logged, Truth},
};

/// A command with all its retries.
struct Call<'a> {
    plan: &'a Plan,
    logged: &'a Logged,
    /// First asked.
    invoked: u64,
    /// First told; `None` if nobody ever was.
    told: Option<u64>,
    /// The newest revision that anybody had been told of when it was asked.
    floor: u64,
}

/// A read that was answered.
struct Read {
    number: usize,
    invoked: u64,
    told: u64,
    revision: u64,
    floor: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Called(usize),
    Answered(usize),
    Asked(usize),
    Shown(usize),
}

impl Read {
    fn check(&self) -> Result<u64, Violation> {
        let Self { number, revision, floor, .. } = self;
        if revision >= floor {
            return Ok(*revision);
        }
        let detail = format!("op {number} is shown revision {revision}, and {floor} was known");
        Err(Violation::new("reads are linearizable", detail).about(format!("op {number} ")))
    }
}

pub(super) fn check(world: &World, truth: &Truth<'_>) -> Result<(), Violation> {
    for stream in truth.streams.keys() {
        let mut reads = reads(stream, world);
        let plans = world.plans.iter().filter(|plan| plan.addressed.stream() == stream);
        let mut calls: Vec<Call<'_>> = plans.filter_map(|plan| call(plan, world, truth)).collect();
        check_stream(&mut calls, &mut reads, truth)?;
    }
    Ok(())
}

fn call<'a>(plan: &'a Plan, world: &World, truth: &'a Truth<'_>) -> Option<Call<'a>> {
    let logged = truth.outcomes.get(&plan.command_id)?;
    if logged.request_hash != plan.request_hash {
        return None;
    }
    let of_plan = |ask| matches!(ask, Ask::Submit { plan: p } if world.plans[p].name == plan.name);
    let ops = || world.outside.history.ops.iter().filter(|op| of_plan(op.ask));
    let told = ops().filter_map(|op| {
        let told = op.told.as_ref()?;
        matches!(told.what, Reply::Submitted(Ok(_))).then_some(told.at)
    });
    let invoked = ops().map(|op| op.invoked).min()?;
    Some(Call { plan, logged, invoked, told: told.min(), floor: 0 })
}

/// The answered reads of a stream: when asked, when told, and what revision.
fn reads(stream: &StreamId, world: &World) -> Vec<Read> {
    let ops = world.outside.history.ops.iter().enumerate();
    let read = |(number, op): (usize, &Op)| match (op.ask, op.told.as_ref()?) {
        (Ask::Read { stream: s }, Told { at, what: Reply::Read(Ok(shown)), .. })
            if plan::stream(s) == *stream =>
        {
            let (invoked, told, revision) = (op.invoked, *at, shown.revision);
            Some(Read { number, invoked, told, revision, floor: 0 })
        }
        _ => None,
    };
    ops.filter_map(read).collect()
}

fn check_stream(
    calls: &mut [Call<'_>],
    reads: &mut [Read],
    truth: &Truth<'_>,
) -> Result<(), Violation> {
    let mut moments: Vec<(u64, Moment)> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        moments.push((call.invoked, Moment::Called(index)));
        moments.extend(call.told.map(|told| (told, Moment::Answered(index))));
    }
    for (index, read) in reads.iter().enumerate() {
        moments.extend([(read.invoked, Moment::Asked(index)), (read.told, Moment::Shown(index))]);
    }
    moments.sort_unstable();
    let mut floor = 0;
    for (at, moment) in moments {
        match moment {
            Moment::Called(index) => calls[index].floor = floor,
            Moment::Answered(index) => {
                floor = floor.max(revision_at(&calls[index], at, calls, truth)?);
            }
            Moment::Asked(index) => reads[index].floor = floor,
            Moment::Shown(index) => floor = floor.max(reads[index].check()?),
        }
    }
    // Nobody was told these, but they are kept for whoever asks again.
    calls
        .iter()
        .filter(|call| call.told.is_none())
        .try_for_each(|call| revision_at(call, u64::MAX, calls, truth).map(|_revision| ()))
}

/// The revision at which the outcome of a call was right.
fn revision_at(
    call: &Call<'_>,
    at: u64,
    calls: &[Call<'_>],
    truth: &Truth<'_>,
) -> Result<u64, Violation> {
    let wrong = |detail: String| {
        let Call { plan, logged, floor, .. } = call;
        let outcome = &logged.outcome;
        let detail = format!(
            "{} ({:?}) came to {outcome:?}; {detail}; revision {floor} was known before",
            plan.name,
            plan.addressed.command()
        );
        Err(Violation::new("aggregates are linearizable", detail).about(&plan.name))
    };
    if let Outcome::Committed { revision, events, .. } = &call.logged.outcome {
        let before = revision.saturating_sub(u64::try_from(events.len()).unwrap_or(0));
        return if before < call.floor {
            wrong(format!("it follows revision {before}"))
        } else {
            Ok(*revision)
        };
    }
    // The log tells no more than this of when it was decided.
    let states = &truth.streams[call.plan.addressed.stream()];
    let newest = call.logged.revision;
    let fits = |revision: &u64| {
        usize::try_from(*revision).ok().and_then(|revision| states.get(revision)).is_some_and(
            |state| expected(call.plan, state, *revision).as_ref() == Some(&call.logged.outcome),
        )
    };
    let Some(revision) = (call.floor..=newest).find(fits) else {
        return wrong("no revision that it may have seen gives that".to_owned());
    };
    let unasked = calls.iter().find(|other| match &other.logged.outcome {
        Outcome::Committed { revision: r, .. } => *r <= revision && other.invoked > at,
        Outcome::Unchanged { .. } | Outcome::Rejected { .. } => false,
    });
    match unasked {
        Some(other) => wrong(format!("it saw {}, which nobody had asked for", other.plan.name)),
        None => Ok(revision),
    }
}

/// What the domain says to a command in a state; `None` if it says yes.
fn expected(plan: &Plan, state: &State, revision: u64) -> Option<Outcome> {
    if let Some(expected) = plan.expected_revision.filter(|expected| *expected != revision) {
        return Some(Outcome::Rejected {
            status: 412,
            code: "revision_mismatch".to_owned(),
            detail: format!(
                "If-Match names revision {expected}, the stream is at {revision}: read it again \
                 and decide anew"
            ),
        });
    }
    // Only deadlines look at the time, and those are no client's command.
    match state.decide(plan.addressed.command(), domain::timestamp::Timestamp::default()) {
        Ok(events) if events.is_empty() => Some(Outcome::Unchanged { revision }),
        Ok(_) => None,
        Err(rejection) => Some(Outcome::Rejected {
            status: match rejection.kind() {
                RejectionKind::Conflict => 409,
                RejectionKind::Rule => 422,
                RejectionKind::NotFound => 404,
            },
            code: rejection.code().to_owned(),
            detail: rejection.to_string(),
        }),
    }
}
