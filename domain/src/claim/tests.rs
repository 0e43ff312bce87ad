use proptest::prelude::*;

use super::*;
use crate::testing::NOW;

const DEADLINE: Timestamp = Timestamp::from_micros(NOW.as_micros() + 60_000_000);

fn reserved(owner: u8) -> Claim<u8> {
    Claim::Reserved { owner, expires_at: DEADLINE }
}

fn held(owner: u8) -> Claim<u8> {
    Claim::Held { owner }
}

#[test]
fn a_free_code_is_reserved_until_its_owner_has_come() {
    let change = Claim::default().reserve(1, NOW).unwrap();
    assert_eq!(change, Some(Change::Reserved { owner: 1, expires_at: DEADLINE }));
    assert_eq!(reserved(1).confirm(1), Ok(Some(Change::Confirmed { owner: 1 })));
    assert_eq!(held(1).confirm(1), Ok(None));
}

#[test]
fn a_code_has_one_owner() {
    for claim in [reserved(1), held(1)] {
        assert_eq!(claim.reserve(2, NOW), Err(Taken));
        assert_eq!(claim.confirm(2), Err(Taken));
        assert_eq!(claim.reserve(1, NOW), Ok(None));
        assert_eq!((claim.withdraw(2), claim.release(2)), (None, None));
    }
}

#[test]
fn what_is_not_confirmed_runs_out() {
    let early = Timestamp::from_micros(DEADLINE.as_micros() - 1);
    assert_eq!(reserved(1).expire(early), None);
    assert_eq!(reserved(1).expire(DEADLINE), Some(Change::Expired { owner: 1 }));
    assert_eq!(held(1).expire(DEADLINE), None);
    assert_eq!((reserved(1).expires_at(), held(1).expires_at()), (Some(DEADLINE), None));
}

#[test]
fn an_owner_who_comes_late_gets_a_code_that_is_free() {
    assert_eq!(Claim::default().confirm(1), Ok(Some(Change::Confirmed { owner: 1 })));
}

#[test]
fn an_owner_who_has_gone_does_not_come_back() {
    let mut claim = held(1);
    claim.evolve(Change::Released { owner: 1 });
    assert_eq!((claim.owner(), claim.confirm(1)), (None, Ok(None)));
    assert_eq!(claim.confirm(2), Ok(Some(Change::Confirmed { owner: 2 })));
}

#[test]
fn who_does_not_come_about_frees_nothing_that_is_confirmed() {
    assert_eq!(reserved(1).withdraw(1), Some(Change::Withdrawn { owner: 1 }));
    assert_eq!(held(1).withdraw(1), None);
    assert_eq!(held(1).release(1), Some(Change::Released { owner: 1 }));
}

proptest! {
    /// Whatever comes in whatever order: nobody gets a code that somebody else has, and only time
    /// and the owner free it.
    #[test]
    fn a_code_changes_hands_through_being_free_only(
        steps in prop::collection::vec((0..5_u8, 1..4_u8, 0..40_u64), 0..60),
    ) {
        let (mut claim, mut now) = (Claim::default(), NOW);
        for (step, owner, seconds) in steps {
            now = now.plus(Duration::from_secs(seconds));
            let change = match step {
                0 => claim.reserve(owner, now).ok().flatten(),
                1 => claim.confirm(owner).ok().flatten(),
                2 => claim.withdraw(owner),
                3 => claim.release(owner),
                _ => claim.expire(now),
            };
            let before = claim;
            if let Some(change) = change {
                claim.evolve(change);
            }
            let (had, has) = (before.owner(), claim.owner());
            prop_assert!(had == has || had.is_none() || has.is_none(), "{before:?} {claim:?}");
            let freed = had.is_some() && has.is_none();
            let expired = step == 4 && before.expires_at().is_some_and(|at| at <= now);
            prop_assert!(!freed || expired || had == Some(owner), "{before:?} by {owner}");
        }
    }
}
