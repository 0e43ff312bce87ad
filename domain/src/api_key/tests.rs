use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::testing::{NOW, decide_twice, decides, given};

const TOMORROW: Duration = Duration::from_secs(24 * 60 * 60);

fn issue(expires_at: Option<Timestamp>) -> Command {
    let roles = BTreeSet::from([Role::Staff, Role::Analyst]);
    Command::Issue { name: "till 1".into(), roles, hash: "ab".repeat(32), expires_at }
}

fn issued(expires_at: Option<Timestamp>) -> Event {
    let roles = BTreeSet::from([Role::Staff, Role::Analyst]);
    Event::Issued { name: "till 1".into(), roles, hash: "ab".repeat(32), expires_at }
}

#[test]
fn a_key_is_issued_once_with_a_name_and_a_role() {
    let (hash, expires_at) = (String::new(), None);
    let staff = BTreeSet::from([Role::Staff]);
    let nameless =
        Command::Issue { name: " ".into(), roles: staff, hash: hash.clone(), expires_at };
    let idle = Command::Issue { name: "till".into(), roles: BTreeSet::new(), hash, expires_at };
    let other = issue(Some(NOW.plus(TOMORROW)));
    decides::<ApiKey>([
        ("its hash and its roles", vec![], issue(None), Ok(vec![issued(None)])),
        ("another of this id", vec![issued(None)], other, Err(Rejection::Exists)),
        ("it is over", vec![], issue(Some(NOW)), Err(Rejection::ExpiresInPast)),
        ("no name", vec![], nameless, Err(Rejection::NameEmpty)),
        ("no role", vec![], idle, Err(Rejection::RolesEmpty)),
    ]);
}

#[test]
fn issue_again_records_nothing_even_if_it_expired_since() {
    let expires_at = Some(NOW.plus(TOMORROW));
    given::<ApiKey>([issued(expires_at)]).when(issue(expires_at), NOW.plus(2 * TOMORROW)).then([]);
}

#[test]
fn a_key_that_is_known_is_revoked_once() {
    let revoked = || Event::Revoked {};
    decides::<ApiKey>([
        ("first", vec![issued(None)], Command::Revoke, Ok(vec![revoked()])),
        ("again", vec![issued(None), revoked()], Command::Revoke, Ok(vec![])),
        ("unknown", vec![], Command::Revoke, Err(Rejection::NotFound)),
    ]);
}

#[test]
fn deciding_twice_yields_nothing() {
    let commands = [issue(None), Command::Revoke, issue(None), Command::Revoke];
    decide_twice::<ApiKey>(commands.map(|command| (command, NOW)), |_| false, |_| {});
}
