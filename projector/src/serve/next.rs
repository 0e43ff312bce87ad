//! What to do next with a version, by what is known of it. Pure: `lifecycle` reads the facts and does it.

use crate::store::{
    verifications::{Verification, VerificationState},
    versions::{BuildProgress, Version, VersionState},
};

/// What is known of a version, beside what it says of itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Of the log.
    pub shards: i64,
    pub progress: BuildProgress,
    /// Of all rows, the last one.
    pub verification: Option<Verification>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    /// To this state, and why.
    Advance(VersionState, &'static str),
    /// The tables are to be made durable, and the indexes to be made: the next part of that.
    Finish,
    Verify,
    /// The verification that was asked for has found no difference.
    Verified,
    Switch,
    /// What was asked for does not go on before an operator says so.
    GiveUp(String),
}

#[must_use]
pub(super) fn next(version: &Version, facts: &Facts) -> Step {
    let Facts { shards, progress, verification } = facts;
    match version.state {
        VersionState::Copying if progress.copied >= *shards => Step::Advance(
            VersionState::Indexing,
            "all shards are copied; the tables are made durable and get their indexes",
        ),
        VersionState::Indexing => Step::Finish,
        VersionState::CatchingUp => match &progress.halted {
            Some(halted) => Step::GiveUp(format!("halted in {halted}")),
            None if progress.caught_up >= *shards => {
                Step::Advance(VersionState::Standby, "it has caught up")
            }
            None => Step::Wait,
        },
        // One from before may have found what is no more.
        VersionState::Standby if version.verify => match verification {
            Some(last) if last.created_at >= version.changed_at => after(last),
            Some(_) | None => Step::Verify,
        },
        VersionState::Standby if version.switch && progress.missing > 0 => Step::GiveUp(format!(
            "{} keys are parked that readers see now; settle them (`projector dead-letters list`) \
             and `projector resume`, or `projector switch` as it is",
            progress.missing
        )),
        VersionState::Standby if version.switch => Step::Switch,
        VersionState::Copying
        | VersionState::Standby
        | VersionState::Live
        | VersionState::Dropped => Step::Wait,
    }
}

fn after(Verification { id, state, problem, .. }: &Verification) -> Step {
    match state {
        VerificationState::Waiting | VerificationState::Running => Step::Wait,
        VerificationState::Equal => Step::Verified,
        VerificationState::Different => {
            Step::GiveUp(format!("verification {id} found differences"))
        }
        VerificationState::Failed => {
            let cause = problem.as_deref().unwrap_or("no reason is known");
            Step::GiveUp(format!("verification {id} failed: {cause}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    use super::*;

    fn version(state: VersionState) -> Version {
        Version::sample("orders", 2, 1, state)
    }

    fn verified(state: VerificationState, seconds: i64) -> Facts {
        let created_at = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let verification = Verification {
            id: Uuid::nil(),
            projection: "orders".to_owned(),
            version: 2,
            sample: None,
            state,
            progress: 1.0,
            report: None,
            problem: None,
            created_at,
            finished_at: None,
        };
        Facts { verification: Some(verification), ..Facts::default() }
    }

    #[test]
    fn a_build_goes_on_when_all_shards_have_and_one_that_halts_is_given_up() {
        let next = |state, copied, caught_up, halted: Option<&str>| {
            let halted = halted.map(str::to_owned);
            let progress = BuildProgress { copied, caught_up, halted, missing: 0 };
            match next(&version(state), &Facts { shards: 2, progress, verification: None }) {
                Step::Advance(to, _) => Ok(to),
                other => Err(other),
            }
        };
        assert_eq!(next(VersionState::Copying, 1, 2, None), Err(Step::Wait));
        assert_eq!(next(VersionState::Copying, 2, 0, None), Ok(VersionState::Indexing));
        assert_eq!(next(VersionState::Indexing, 0, 0, None), Err(Step::Finish));
        assert_eq!(next(VersionState::CatchingUp, 2, 1, None), Err(Step::Wait));
        assert_eq!(next(VersionState::CatchingUp, 2, 2, None), Ok(VersionState::Standby));
        let told = Step::GiveUp("halted in shard 1: no such table".to_owned());
        let halted = Some("shard 1: no such table");
        assert_eq!(next(VersionState::CatchingUp, 2, 2, halted), Err(told));
    }

    #[test]
    fn it_is_verified_before_it_is_switched_to() {
        let asked = Version { verify: true, switch: true, ..version(VersionState::Standby) };
        assert_eq!(next(&asked, &Facts::default()), Step::Verify);
        assert_eq!(next(&asked, &verified(VerificationState::Running, 0)), Step::Wait);
        assert_eq!(next(&asked, &verified(VerificationState::Equal, 0)), Step::Verified);
        assert_eq!(next(&asked, &verified(VerificationState::Equal, -1)), Step::Verify);
        for state in [VerificationState::Different, VerificationState::Failed] {
            assert!(matches!(next(&asked, &verified(state, 0)), Step::GiveUp(_)));
        }
        let verified = Version { verify: false, ..asked };
        assert_eq!(next(&verified, &Facts::default()), Step::Switch);
    }

    #[test]
    fn what_readers_see_now_is_not_switched_away() {
        let asked = Version { switch: true, ..version(VersionState::Standby) };
        let progress = BuildProgress { missing: 3, ..BuildProgress::default() };
        let facts = Facts { progress, ..Facts::default() };
        let Step::GiveUp(problem) = next(&asked, &facts) else { panic!("not given up") };
        assert!(problem.starts_with("3 keys are parked"), "{problem}");
    }

    #[test]
    fn without_a_wish_nothing_is_done() {
        for state in [VersionState::Standby, VersionState::Live, VersionState::Dropped] {
            assert_eq!(next(&version(state), &Facts::default()), Step::Wait);
        }
    }
}
