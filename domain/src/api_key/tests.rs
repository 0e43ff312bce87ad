use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{
    testing::{NOW, decide_twice, given},
    timestamp::Timestamp,
};

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
fn issue_records_the_hash_and_the_roles() {
    given::<ApiKey>([]).when(issue(None), NOW).then([issued(None)]);
}

#[test]
fn issue_again_records_nothing_even_if_it_expired_since() {
    let expires_at = Some(NOW.plus(TOMORROW));
    given::<ApiKey>([issued(expires_at)]).when(issue(expires_at), NOW.plus(2 * TOMORROW)).then([]);
}

#[test]
fn issue_of_another_key_under_the_same_id_is_rejected() {
    given::<ApiKey>([issued(None)])
        .when(issue(Some(NOW.plus(TOMORROW))), NOW)
        .then_rejected(Rejection::Exists);
}

#[test]
fn issue_with_an_expiry_that_is_not_in_the_future_is_rejected() {
    given::<ApiKey>([]).when(issue(Some(NOW)), NOW).then_rejected(Rejection::ExpiresInPast);
}

#[test]
fn issue_without_a_name_is_rejected() {
    let roles = BTreeSet::from([Role::Staff]);
    let command = Command::Issue { name: " ".into(), roles, hash: String::new(), expires_at: None };
    given::<ApiKey>([]).when(command, NOW).then_rejected(Rejection::NameEmpty);
}

#[test]
fn issue_without_a_role_is_rejected() {
    let roles = BTreeSet::new();
    let command =
        Command::Issue { name: "till".into(), roles, hash: String::new(), expires_at: None };
    given::<ApiKey>([]).when(command, NOW).then_rejected(Rejection::RolesEmpty);
}

#[test]
fn revoke_is_recorded_once() {
    given::<ApiKey>([issued(None)]).when(Command::Revoke, NOW).then([Event::Revoked {}]);
    given::<ApiKey>([issued(None), Event::Revoked {}]).when(Command::Revoke, NOW).then([]);
}

#[test]
fn revoke_of_an_unknown_key_is_rejected() {
    given::<ApiKey>([]).when(Command::Revoke, NOW).then_rejected(Rejection::NotFound);
}

#[test]
fn deciding_twice_yields_nothing() {
    let commands = [issue(None), Command::Revoke, issue(None), Command::Revoke];
    decide_twice::<ApiKey>(commands.map(|command| (command, NOW)), |_| false, |_| {});
}
