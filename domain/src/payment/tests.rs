use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{NOW, decide_twice, decides, event, fold, given, usd, uuid};

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
    let ask_again_at = (amount > 0 && method_token != CASH).then(|| NOW.plus(ASK_AGAIN_AFTER));
    let data = json!({
        "order_id": order(), "amount": usd(amount), "provider": "sandbox",
        "method_token": method_token, "expires_at": NOW.plus(ANSWER_WAIT),
        "ask_again_at": ask_again_at,
    });
    event::<Payment>("requested", data)
}

fn asked_again(attempt: u32, next_after: Option<u64>) -> Event {
    let ask_again_at = next_after.map(|seconds| NOW.plus(Duration::from_secs(seconds)));
    let data = json!({ "attempt": attempt, "ask_again_at": ask_again_at });
    event::<Payment>("asked_again", data)
}

fn open() -> Event {
    requested(250, "tok_ok")
}

fn action_required() -> Event {
    let data = json!({ "reference": "pay_1", "expires_at": NOW.plus(ACTION_WAIT) });
    event::<Payment>("action_required", data)
}

fn authorised(amount: i64, reference: &str) -> Event {
    let data = json!({ "order_id": order(), "amount": usd(amount), "reference": reference });
    event::<Payment>("authorised", data)
}

fn declined() -> Event {
    let data = json!({ "order_id": order(), "code": "card_declined", "detail": "no" });
    event::<Payment>("declined", data)
}

fn expired() -> Event {
    event::<Payment>("expired", json!({ "order_id": order() }))
}

fn voided() -> Event {
    event::<Payment>("voided", json!({ "reason": "order_rejected" }))
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
fn a_payment_is_requested_once_on_one_set_of_terms() {
    let request_of = |amount| request(amount, "tok_ok");
    decides::<Payment>([
        ("first", vec![], request_of(250), Ok(vec![open()])),
        ("again", vec![open()], request_of(250), Ok(vec![])),
        ("after its end", vec![open(), declined()], request_of(250), Ok(vec![])),
        ("other terms", vec![open()], request_of(251), Err(Rejection::Exists)),
        ("negative", vec![], request_of(-1), Err(Rejection::AmountNegative)),
    ]);
}

#[test]
fn cash_and_zero_are_authorised_at_once() {
    let cash = || vec![requested(250, CASH), authorised(250, "cash")];
    let zero = vec![requested(0, "tok_ok"), authorised(0, "zero")];
    decides::<Payment>([
        ("cash", vec![], request(250, CASH), Ok(cash())),
        ("cash again", cash(), request(250, CASH), Ok(vec![])),
        ("zero", vec![], request(0, "tok_ok"), Ok(zero)),
    ]);
}

#[test]
fn an_action_gives_the_buyer_more_time() {
    given::<Payment>([open()]).when(require_action("pay_1"), NOW).then([action_required()]);
    let payment: Payment = fold([open(), action_required()]);
    assert_eq!(payment.next_deadline(), Some(NOW.plus(ACTION_WAIT)));
}

#[test]
fn an_action_is_required_once_of_an_open_payment() {
    let acting = || vec![open(), action_required()];
    let ended = vec![open(), expired()];
    decides::<Payment>([
        ("again", acting(), require_action("pay_1"), Ok(vec![])),
        ("other", acting(), require_action("pay_2"), Err(Rejection::ReferenceDiffers)),
        ("late", ended, require_action("pay_1"), Err(closed(Status::Expired))),
    ]);
}

#[test]
fn authorisation_closes_an_open_payment() {
    let acting = || vec![open(), action_required()];
    let paid = || vec![open(), authorised(250, "pay_1")];
    let yes = || Ok(vec![authorised(250, "pay_1")]);
    let too_late =
        |end, status| ("late", vec![open(), end], authorise("pay_1"), Err(closed(status)));
    decides::<Payment>([
        ("open", vec![open()], authorise("pay_1"), yes()),
        ("after an action", acting(), authorise("pay_1"), yes()),
        ("again", paid(), authorise("pay_1"), Ok(vec![])),
        ("other action", acting(), authorise("pay_2"), Err(Rejection::ReferenceDiffers)),
        ("other yes", paid(), authorise("pay_2"), Err(closed(Status::Authorised))),
        too_late(declined(), Status::Declined),
        too_late(expired(), Status::Expired),
        too_late(voided(), Status::Voided),
    ]);
}

#[test]
fn decline_closes_an_open_payment() {
    let ended = vec![open(), expired()];
    decides::<Payment>([
        ("open", vec![open()], decline(), Ok(vec![declined()])),
        ("acting", vec![open(), action_required()], decline(), Ok(vec![declined()])),
        ("again", vec![open(), declined()], decline(), Ok(vec![])),
        ("late", ended, decline(), Err(closed(Status::Expired))),
    ]);
}

#[test]
fn void_leaves_no_money_held() {
    let after = |end| vec![open(), end];
    decides::<Payment>([
        ("open", vec![open()], void(), Ok(vec![voided()])),
        ("authorised", after(authorised(250, "pay_1")), void(), Ok(vec![voided()])),
        ("declined", after(declined()), void(), Ok(vec![])),
        ("expired", after(expired()), void(), Ok(vec![])),
        ("again", after(voided()), void(), Ok(vec![])),
    ]);
}

#[test]
fn expire_closes_what_is_still_open_at_the_deadline() {
    let deadline = NOW.plus(ANSWER_WAIT);
    let early = Timestamp::from_micros(deadline.as_micros() - 1);
    let asked = [open(), asked_again(2, Some(30)), asked_again(3, None)];
    given::<Payment>(asked.clone()).when(Command::Expire, early).then([]);
    given::<Payment>(asked).when(Command::Expire, deadline).then([expired()]);
    given::<Payment>([open()]).when(Command::Expire, deadline).then([expired()]);
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
fn nobody_asks_again_while_the_buyer_has_to_act() {
    let payment: Payment = fold([open(), action_required()]);
    assert_eq!(payment.ask_again_at(), None);
}

#[test]
fn a_payment_of_a_release_that_asked_by_itself_just_expires() {
    let expires_at = NOW.plus(ANSWER_WAIT);
    let data = json!({
        "order_id": order(), "amount": usd(250), "provider": "sandbox",
        "method_token": "tok_ok", "expires_at": expires_at,
    });
    let payment: Payment = fold([event::<Payment>("requested", data)]);
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
