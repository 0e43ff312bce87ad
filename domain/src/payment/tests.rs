use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    aggregate::Decide,
    id::OrderId,
    testing::{NOW, decide_twice, fold, given, usd, uuid},
    timestamp::Timestamp,
};

fn order() -> OrderId {
    OrderId::new(uuid(2))
}

fn request(amount: i64, method_token: &str) -> Command {
    Command::Request {
        order_id: order(),
        amount: usd(amount),
        provider: "sandbox".into(),
        method_token: method_token.into(),
    }
}

fn requested(amount: i64, method_token: &str) -> Event {
    Event::Requested {
        order_id: order(),
        amount: usd(amount),
        provider: "sandbox".into(),
        method_token: method_token.into(),
        expires_at: NOW.plus(ANSWER_WAIT),
        ask_again_at: (amount > 0 && method_token != CASH).then(|| NOW.plus(ASK_AGAIN_AFTER)),
    }
}

fn asked_again(attempt: u32, next_after: Option<u64>) -> Event {
    let ask_again_at = next_after.map(|seconds| NOW.plus(Duration::from_secs(seconds)));
    Event::AskedAgain { attempt, ask_again_at }
}

fn open() -> Event {
    requested(250, "tok_ok")
}

fn action_required() -> Event {
    Event::ActionRequired { reference: "pay_1".into(), expires_at: NOW.plus(ACTION_WAIT) }
}

fn authorised(amount: i64, reference: &str) -> Event {
    Event::Authorised { order_id: order(), amount: usd(amount), reference: reference.into() }
}

fn declined() -> Event {
    Event::Declined { order_id: order(), code: "card_declined".into(), detail: "no".into() }
}

fn expired() -> Event {
    Event::Expired { order_id: order() }
}

fn voided() -> Event {
    Event::Voided { reason: "order_rejected".into() }
}

fn require_action(reference: &str) -> Command {
    Command::RequireAction { reference: reference.into() }
}

fn authorise(reference: &str) -> Command {
    Command::RecordAuthorisation { reference: reference.into() }
}

fn decline() -> Command {
    Command::RecordDecline { code: "card_declined".into(), detail: "no".into() }
}

fn void() -> Command {
    Command::Void { reason: "order_rejected".into() }
}

fn closed(status: Status) -> Rejection {
    Rejection::Closed { status }
}

#[test]
fn request_opens_a_payment_once() {
    given::<Payment>([]).when(request(250, "tok_ok"), NOW).then([open()]);
    given::<Payment>([open()]).when(request(250, "tok_ok"), NOW).then([]);
    given::<Payment>([open(), declined()]).when(request(250, "tok_ok"), NOW).then([]);
}

#[test]
fn request_with_other_terms_is_rejected() {
    given::<Payment>([open()]).when(request(251, "tok_ok"), NOW).then_rejected(Rejection::Exists);
}

#[test]
fn request_of_a_negative_amount_is_rejected() {
    given::<Payment>([]).when(request(-1, "tok_ok"), NOW).then_rejected(Rejection::AmountNegative);
}

#[test]
fn cash_is_authorised_at_once() {
    given::<Payment>([])
        .when(request(250, CASH), NOW)
        .then([requested(250, CASH), authorised(250, "cash")]);
    given::<Payment>([requested(250, CASH), authorised(250, "cash")])
        .when(request(250, CASH), NOW)
        .then([]);
}

#[test]
fn zero_is_authorised_at_once() {
    given::<Payment>([])
        .when(request(0, "tok_ok"), NOW)
        .then([requested(0, "tok_ok"), authorised(0, "zero")]);
}

#[test]
fn an_action_gives_the_buyer_more_time() {
    given::<Payment>([open()]).when(require_action("pay_1"), NOW).then([action_required()]);
    let payment: Payment = fold([open(), action_required()]);
    assert_eq!(payment.next_deadline(), Some(NOW.plus(ACTION_WAIT)));
}

#[test]
fn an_action_is_required_once() {
    given::<Payment>([open(), action_required()]).when(require_action("pay_1"), NOW).then([]);
    given::<Payment>([open(), action_required()])
        .when(require_action("pay_2"), NOW)
        .then_rejected(Rejection::ReferenceDiffers);
}

#[test]
fn authorisation_closes_an_open_payment() {
    let expected = || [authorised(250, "pay_1")];
    given::<Payment>([open()]).when(authorise("pay_1"), NOW).then(expected());
    given::<Payment>([open(), action_required()]).when(authorise("pay_1"), NOW).then(expected());
    given::<Payment>([open(), authorised(250, "pay_1")]).when(authorise("pay_1"), NOW).then([]);
}

#[test]
fn authorisation_by_another_reference_is_rejected() {
    given::<Payment>([open(), action_required()])
        .when(authorise("pay_2"), NOW)
        .then_rejected(Rejection::ReferenceDiffers);
    given::<Payment>([open(), authorised(250, "pay_1")])
        .when(authorise("pay_2"), NOW)
        .then_rejected(closed(Status::Authorised));
}

#[test]
fn authorisation_that_comes_too_late_is_rejected() {
    for (end, status) in
        [(declined(), Status::Declined), (expired(), Status::Expired), (voided(), Status::Voided)]
    {
        given::<Payment>([open(), end]).when(authorise("pay_1"), NOW).then_rejected(closed(status));
    }
}

#[test]
fn decline_closes_an_open_payment() {
    given::<Payment>([open()]).when(decline(), NOW).then([declined()]);
    given::<Payment>([open(), action_required()]).when(decline(), NOW).then([declined()]);
    given::<Payment>([open(), declined()]).when(decline(), NOW).then([]);
    given::<Payment>([open(), expired()])
        .when(decline(), NOW)
        .then_rejected(closed(Status::Expired));
}

#[test]
fn an_action_after_the_end_is_rejected() {
    given::<Payment>([open(), expired()])
        .when(require_action("pay_1"), NOW)
        .then_rejected(closed(Status::Expired));
}

#[test]
fn void_leaves_no_money_held() {
    given::<Payment>([open()]).when(void(), NOW).then([voided()]);
    given::<Payment>([open(), authorised(250, "pay_1")]).when(void(), NOW).then([voided()]);
    for end in [declined(), expired(), voided()] {
        given::<Payment>([open(), end]).when(void(), NOW).then([]);
    }
}

#[test]
fn expire_closes_what_is_still_open_at_the_deadline() {
    let deadline = NOW.plus(ANSWER_WAIT);
    let early = Timestamp::from_micros(deadline.as_micros() - 1);
    let asked = [open(), asked_again(2, Some(30)), asked_again(3, None)];
    given::<Payment>(asked.clone()).when(Command::Expire, early).then([]);
    given::<Payment>(asked).when(Command::Expire, deadline).then([expired()]);
    given::<Payment>([open(), action_required()]).when(Command::Expire, deadline).then([]);
    given::<Payment>([open(), declined()]).when(Command::Expire, deadline).then([]);
}

#[test]
fn a_provider_that_does_not_answer_is_asked_again_at_growing_distances_until_the_end() {
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    let history = [open(), asked_again(2, Some(30)), asked_again(3, None)];
    let deadline = |events: &[Event]| fold::<Payment>(events.to_vec()).next_deadline();
    assert_eq!(deadline(&history[..1]), Some(at(10)));
    given::<Payment>([open()]).when(Command::Expire, at(9)).then([]);
    given::<Payment>([open()]).when(Command::Expire, at(10)).then([asked_again(2, Some(30))]);
    assert_eq!(deadline(&history[..2]), Some(at(30)));
    given::<Payment>(history[..2].to_vec())
        .when(Command::Expire, at(30))
        .then([asked_again(3, None)]);
    assert_eq!(deadline(&history), Some(at(60)));
    given::<Payment>(history).when(Command::Expire, at(60)).then([expired()]);
}

#[test]
fn a_payment_whose_time_is_over_is_not_asked_for_again() {
    given::<Payment>([open()]).when(Command::Expire, NOW.plus(ANSWER_WAIT)).then([expired()]);
}

#[test]
fn nobody_asks_again_while_the_buyer_has_to_act() {
    let payment: Payment = fold([open(), action_required()]);
    assert_eq!(payment.ask_again_at(), None);
}

#[test]
fn a_payment_of_a_release_that_asked_by_itself_just_expires() {
    let Event::Requested { order_id, amount, provider, method_token, expires_at, .. } = open()
    else {
        panic!("a request");
    };
    let old = Event::Requested {
        order_id,
        amount,
        provider,
        method_token,
        expires_at,
        ask_again_at: None,
    };
    let payment: Payment = fold([old]);
    assert_eq!(payment.next_deadline(), Some(expires_at));
}

#[test]
fn only_an_open_payment_has_a_deadline() {
    let payment: Payment = fold([open(), authorised(250, "pay_1")]);
    assert_eq!(payment.next_deadline(), None);
}

#[test]
fn commands_on_a_payment_that_was_never_requested_are_rejected() {
    for command in [require_action("pay_1"), authorise("pay_1"), decline(), void(), Command::Expire]
    {
        given::<Payment>([]).when(command, NOW).then_rejected(Rejection::NotFound);
    }
}

proptest! {
    #[test]
    fn deciding_twice_yields_nothing(
        steps in prop::collection::vec((prop_oneof![
            (-1..3_i64, "cash|tok_ok").prop_map(|(amount, token)| request(amount, &token)),
            "pay_[12]".prop_map(|reference| require_action(&reference)),
            "pay_[12]".prop_map(|reference| authorise(&reference)),
            Just(decline()),
            Just(void()),
            Just(Command::Expire),
        ], 0..300_u64), 0..20),
    ) {
        let steps = steps.into_iter().scan(NOW, |now, (command, seconds)| {
            *now = now.plus(Duration::from_secs(seconds));
            Some((command, *now))
        });
        decide_twice::<Payment>(steps, |_| false, |payment| {
            assert!(payment.next_deadline().is_none() || payment.status.is_open());
        });
    }
}
