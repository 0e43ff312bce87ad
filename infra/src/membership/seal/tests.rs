use super::*;
use crate::clock::ManualClock;

const PATH: &str = "/internal/v1/submit";

struct Pair {
    clock: ManualClock,
    sealer: Sealer,
    gate: Gate,
}

fn key(secret: &str) -> PeerKey {
    PeerKey::new(&secret.to_owned().into())
}

fn pair() -> Pair {
    let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
    Pair {
        sealer: Sealer::new(key("a secret"), "a", clock.clone().into()),
        gate: Gate::new(key("a secret"), "b", clock.clone().into()),
        clock,
    }
}

#[test]
fn a_request_is_believed_once() {
    let Pair { sealer, gate, .. } = pair();
    let sealed: Vec<_> = (0..200).map(|_| sealer.seal("b", PATH, b"body")).collect();
    for (seal, tag) in sealed.iter().rev() {
        assert_eq!(gate.admit(seal, PATH, b"body"), Ok(*tag));
    }
    for (seal, _) in &sealed {
        assert_eq!(gate.admit(seal, PATH, b"body"), Err(Doubt::Replayed));
    }
}

#[test]
fn whatever_is_changed_makes_it_a_forgery() {
    let Pair { sealer, gate, .. } = pair();
    let (seal, _) = sealer.seal("b", PATH, b"body");
    assert_eq!(gate.admit(&seal, PATH, b"bodY"), Err(Doubt::Forged));
    assert_eq!(gate.admit(&seal, "/internal/v1/read", b"body"), Err(Doubt::Forged));
    for place in 0..seal.len() {
        let mut changed = seal.clone().into_bytes();
        changed[place] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        assert!(gate.admit(&changed, PATH, b"body").is_err(), "{changed}");
    }
    let other = Sealer::new(key("another"), "a", Clock::System);
    assert!(gate.admit(&other.seal("b", PATH, b"body").0, PATH, b"body").is_err());
    assert!(gate.admit(&seal, PATH, b"body").is_ok(), "what was refused used nothing up");
}

#[test]
fn it_is_for_one_node_and_for_half_a_minute() {
    let Pair { clock, sealer, gate } = pair();
    assert_eq!(gate.look(&sealer.seal("c", PATH, b"").0), Err(Doubt::Elsewhere));
    let (seal, _) = sealer.seal("b", PATH, b"");
    clock.advance(CLOCK_SKEW_MAX * 2);
    assert_eq!(gate.look(&seal), Ok(()));
    clock.advance(Duration::from_micros(1));
    assert_eq!(gate.look(&seal), Err(Doubt::Late));
    assert_eq!(gate.admit(&seal, PATH, b""), Err(Doubt::Late));
    for nothing in ["", "a b", "Bearer a secret"] {
        assert_eq!(gate.look(nothing), Err(Doubt::Unsigned));
    }
}

#[test]
fn an_answer_is_to_its_request_and_nothing_else() {
    let key = key("a secret");
    let answer = key.answer(&[1; 32], 200, b"done");
    assert!(key.verifies_answer(&answer, &[1; 32], 200, b"done"));
    assert!(!key.verifies_answer(&answer, &[2; 32], 200, b"done"));
    assert!(!key.verifies_answer(&answer, &[1; 32], 503, b"done"));
    assert!(!key.verifies_answer(&answer, &[1; 32], 200, b"not"));
    assert!(!key.verifies_answer("", &[1; 32], 200, b"done"));
}

#[test]
fn memory_is_bounded_and_forgets_nothing_that_still_counts() {
    let mut run = Run::default();
    assert!(run.accept(1) && run.accept(WINDOW) && run.accept(2));
    assert!(run.accept(WINDOW + 1) && !run.accept(1), "too far behind");
    assert!(run.accept(3) && !run.accept(3) && !run.accept(2));
    assert!(run.accept(u64::MAX) && !run.accept(u64::MAX) && !run.accept(4));

    let Pair { clock, gate, .. } = pair();
    for run in 0..RUNS_MAX {
        assert_eq!(gate.remember(Nonce(u64::try_from(run).unwrap()), 1), Ok(()));
    }
    assert_eq!(gate.remember(Nonce(u64::MAX), 1), Err(Doubt::Crowded));
    clock.advance(CLOCK_SKEW_MAX * 5);
    assert_eq!(gate.remember(Nonce(u64::MAX), 1), Ok(()));
}
