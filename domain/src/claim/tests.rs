use proptest::prelude::*;

use super::*;
use crate::testing::NOW;

const DEADLINE: Timestamp = Timestamp::from_micros(NOW.as_micros() + 60_000_000);

fn reserved(owner: u8) -> Claim<u8> {
    Standing::Reserved { owner, expires_at: DEADLINE }.into()
}

fn lapsed(owner: u8) -> Claim<u8> {
    Standing::Lapsed { owner }.into()
}

fn held(owner: u8) -> Claim<u8> {
    Standing::Held { owner }.into()
}

#[test]
fn a_free_code_is_reserved_until_its_owner_has_come() {
    let change = Claim::default().reserve(1, NOW).unwrap();
    assert_eq!(change, Some(Change::Reserved { owner: 1, expires_at: DEADLINE }));
    for claim in [reserved(1), lapsed(1)] {
        assert_eq!(claim.confirm(1), Ok(Some(Change::Confirmed { owner: 1 })));
    }
    assert_eq!(held(1).confirm(1), Ok(None));
}

#[test]
fn a_code_has_one_owner() {
    for claim in [reserved(1), lapsed(1), held(1)] {
        assert_eq!(claim.reserve(2, NOW), Err(Taken));
        assert_eq!(claim.confirm(2), Err(Taken));
        assert_eq!(claim.reserve(1, NOW), Ok(None));
        assert_eq!((claim.withdraw(2), claim.release(2)), (None, None));
    }
}

#[test]
fn what_is_not_confirmed_lapses_and_stays_its_owners() {
    let early = Timestamp::from_micros(DEADLINE.as_micros() - 1);
    assert_eq!(reserved(1).lapse(early), None);
    assert_eq!(reserved(1).lapse(DEADLINE), Some(Change::Lapsed { owner: 1 }));
    for claim in [lapsed(1), held(1)] {
        assert_eq!((claim.lapse(DEADLINE), claim.expires_at()), (None, None));
    }
    assert_eq!(reserved(1).expires_at(), Some(DEADLINE));
    assert_eq!((reserved(1).stands_for(1), held(1).stands_for(1)), (true, true));
    assert_eq!((lapsed(1).stands_for(1), held(1).stands_for(2)), (false, false));
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
fn an_owner_who_has_gone_does_not_come_back_past_others_that_came_and_went() {
    let reserved = |owner| Change::Reserved { owner, expires_at: DEADLINE };
    let others = [
        vec![reserved(2), Change::Withdrawn { owner: 2 }],
        vec![reserved(2), Change::Lapsed { owner: 2 }, Change::Withdrawn { owner: 2 }],
        vec![Change::Confirmed { owner: 2 }, Change::Released { owner: 2 }],
    ];
    for changes in others {
        let mut claim = held(1);
        claim.evolve(Change::Released { owner: 1 });
        for change in changes.clone() {
            claim.evolve(change);
        }
        assert_eq!((claim.owner(), claim.confirm(1)), (None, Ok(None)), "{changes:?}");
    }
}

#[test]
fn an_owner_who_has_gone_may_claim_the_code_anew() {
    let mut claim = held(1);
    claim.evolve(Change::Released { owner: 1 });
    let change = claim.reserve(1, NOW).unwrap().unwrap();
    claim.evolve(change);
    assert_eq!(claim.confirm(1), Ok(Some(Change::Confirmed { owner: 1 })));
}

#[test]
fn of_those_who_have_gone_the_latest_are_remembered() {
    let mut claim = Claim::default();
    for owner in 0..20 {
        claim.evolve(Change::Confirmed { owner });
        claim.evolve(Change::Released { owner });
    }
    assert_eq!((claim.confirm(19), claim.confirm(12)), (Ok(None), Ok(None)));
    assert_eq!(claim.confirm(11), Ok(Some(Change::Confirmed { owner: 11 })));
}

#[test]
fn who_does_not_come_about_frees_nothing_that_is_confirmed() {
    for claim in [reserved(1), lapsed(1)] {
        assert_eq!(claim.withdraw(1), Some(Change::Withdrawn { owner: 1 }));
    }
    assert_eq!(held(1).withdraw(1), None);
    assert_eq!(held(1).release(1), Some(Change::Released { owner: 1 }));
}

proptest! {
    /// Whatever comes in whatever order: nobody gets a code that somebody else has, and only its
    /// owner frees it.
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
                _ => claim.lapse(now),
            };
            let before = claim.clone();
            if let Some(change) = change {
                claim.evolve(change);
            }
            let (had, has) = (before.owner(), claim.owner());
            prop_assert!(had == has || had.is_none() || has.is_none(), "{before:?} {claim:?}");
            let freed = had.is_some() && has.is_none();
            prop_assert!(!freed || had == Some(owner), "{before:?} by {owner}");
            prop_assert!(step != 4 || had == has, "{before:?} in time");
        }
    }
}
