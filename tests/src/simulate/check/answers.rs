//! What clients were told is what the log says, and was so when they were told.

use command_api::engine::{Answer, Snapshot, SubmitError};

use super::{
    super::{
        history::{Ask, Reply, Told, Violation},
        plan::{self, Plan},
        world::World,
    },
    truth::Truth,
};

pub(super) fn check(world: &World, truth: &Truth<'_>) -> Result<(), Violation> {
    for (number, op) in world.outside.history.ops.iter().enumerate() {
        let Some(told) = &op.told else { continue };
        match (op.ask, &told.what) {
            (Ask::Submit { plan }, Reply::Submitted(Ok(answer))) => {
                check_answer(number, &world.plans[plan], answer, told, truth)?;
            }
            (Ask::Read { stream }, Reply::Read(Ok(snapshot))) => {
                check_read(number, stream, snapshot, told, truth)?;
            }
            _ => {}
        }
    }
    world.plans.iter().try_for_each(|plan| check_refused(plan, world, truth))
}

/// Acknowledged means emitted, with this outcome, and before the answer was given.
fn check_answer(
    op: usize,
    plan: &Plan,
    answer: &Answer,
    told: &Told,
    truth: &Truth<'_>,
) -> Result<(), Violation> {
    let wrong = |detail: String| {
        let detail = format!("op {op} ({}) was told {:?}; {detail}", plan.name, answer.outcome);
        Err(Violation::new("acknowledged is emitted", detail).about(&plan.name))
    };
    let Some(logged) = truth.outcomes.get(&plan.command_id) else {
        return wrong("the log knows nothing of it".to_owned());
    };
    if logged.request_hash != plan.request_hash {
        return wrong("the log has another request under this id".to_owned());
    }
    if logged.outcome != answer.outcome {
        return wrong(format!("the log says {:?}", logged.outcome));
    }
    if logged.next_offset > told.end {
        return wrong(format!("the log ended at {} then", told.end));
    }
    let positions: Vec<_> = answer.position.entries().map(|entry| entry.next_offset).collect();
    if positions != [logged.next_offset] {
        return wrong(format!("at {positions:?} instead of {}", logged.next_offset));
    }
    Ok(())
}

/// A read shows a state that the log had confirmed.
fn check_read(
    op: usize,
    stream: usize,
    snapshot: &Snapshot,
    told: &Told,
    truth: &Truth<'_>,
) -> Result<(), Violation> {
    let stream = plan::stream(stream);
    let landed = truth.commits.iter().take_while(|commit| commit.next_offset <= told.end);
    let events: usize = landed.map(|commit| commit.events_of(&stream)).sum();
    let newest = u64::try_from(events).unwrap_or(u64::MAX);
    let revision = usize::try_from(snapshot.revision).unwrap_or(usize::MAX);
    let state = truth.streams.get(&stream).and_then(|states| states.get(revision));
    let untouched = snapshot.revision == 0 && !truth.streams.contains_key(&stream);
    if untouched || (state == Some(&snapshot.state) && snapshot.revision <= newest) {
        return Ok(());
    }
    let detail = format!("op {op} read {snapshot:?}; the log had {stream} at {newest}: {state:?}");
    Err(Violation::new("reads show what is confirmed", detail).about(stream.as_str()))
}

/// A client that was told for certain that nothing happened was told the truth.
fn check_refused(plan: &Plan, world: &World, truth: &Truth<'_>) -> Result<(), Violation> {
    let logged = truth.outcomes.get(&plan.command_id);
    if logged.is_none_or(|logged| logged.request_hash != plan.request_hash) {
        return Ok(());
    }
    let of_plan = |ask| matches!(ask, Ask::Submit { plan: p } if world.plans[p].name == plan.name);
    let mut asked = world.outside.history.ops.iter().filter(|op| of_plan(op.ask));
    let refused = asked.all(|op| {
        let told = op.told.as_ref().map(|told| &told.what);
        matches!(told, Some(Reply::Submitted(Err(SubmitError::Busy | SubmitError::KeyReused))))
    });
    if refused {
        let detail = format!("every request for {} was refused, yet the log has it", plan.name);
        return Err(Violation::new("refused is not emitted", detail).about(&plan.name));
    }
    Ok(())
}
