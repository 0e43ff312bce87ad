//! Each aggregate behaves as one object: there is a moment between question and answer at which
//! every outcome, refusals included, was the right one.
//!
//! The log orders the commits of a stream. What is left to find is a revision for each refusal (and
//! each command that changed nothing): one at which the domain says just that, not older than what
//! anybody had been told before the question, and not newer than what had been asked before the
//! answer. Taking the oldest that fits leaves most room for the others, so greed is exact.

use command_api::engine::Outcome;
use domain::{State, aggregate::RejectionKind};

use super::{
    super::{
        history::{Ask, Reply},
        plan::Plan,
        violation::Violation,
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

pub(super) fn check(world: &World, truth: &Truth<'_>) -> Result<(), Violation> {
    for stream in truth.streams.keys() {
        let plans = world.plans.iter().filter(|plan| plan.stream == *stream);
        let mut calls: Vec<Call<'_>> = plans.filter_map(|plan| call(plan, world, truth)).collect();
        check_stream(&mut calls, truth)?;
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

fn check_stream(calls: &mut [Call<'_>], truth: &Truth<'_>) -> Result<(), Violation> {
    let mut moments: Vec<(u64, usize)> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        moments.push((call.invoked, index));
        moments.extend(call.told.map(|told| (told, index)));
    }
    moments.sort_unstable();
    let mut floor = 0;
    for (at, index) in moments {
        if at == calls[index].invoked {
            calls[index].floor = floor;
        } else {
            floor = floor.max(revision_at(&calls[index], at, calls, truth)?);
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
            plan.name, plan.command
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
    let states = &truth.streams[&call.plan.stream];
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
    match state.decide(&plan.command, domain::timestamp::Timestamp::default()) {
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
