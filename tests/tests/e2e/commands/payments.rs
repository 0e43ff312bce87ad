//! What a payment provider tells by itself.

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use stack::eventually::eventually;

use super::{
    CASES,
    sent::{Member, Values, draw, needed, object, runner, text, text_or_blank},
    tried::{Tried, assert_shows},
};
use crate::shop::{Cart, SETTLE_WAIT_MAX, product, settled};

fn authorised(payment_id: &str) -> Values {
    let known = Just(json!(format!("sandbox-{payment_id}")));
    let reference = prop_oneof![9 => known.boxed(), 1 => text(200)];
    webhook("payment.authorised", payment_id, vec![("reference", needed(reference))])
}

fn declined(payment_id: &str) -> Values {
    let said = vec![("code", needed(text(200))), ("detail", needed(text_or_blank(200)))];
    webhook("payment.declined", payment_id, said)
}

fn webhook(kind: &'static str, payment_id: &str, mut data: Vec<Member>) -> Values {
    data.push(("payment_id", needed(Just(json!(payment_id)))));
    object(vec![("type", needed(Just(json!(kind)))), ("data", needed(object(data)))])
}

fn any(runner: &mut TestRunner, payment_id: &str) -> Value {
    draw(runner, &prop_oneof![1 => authorised(payment_id), 2 => declined(payment_id)])
}

pub(super) async fn try_all(tried: &Tried<'_>) {
    let mut runner = runner(5);
    let _card = product(tried.stack, "card", 450, 10_000).await;
    for _ in 0..CASES {
        let cart = json!([{"sku": "card", "quantity": 1}]);
        let cart = Cart::create(tried.guest.clone(), &cart).await;
        let checkout = cart.check_out("tok_3ds").await.expect(202);
        let body = any(&mut runner, checkout.text("/payment_id"));
        // The payment is there a little later than its order.
        let answer = eventually("the payment is known", SETTLE_WAIT_MAX, || async {
            let answer = tried.stack.payment_webhook(&body).await;
            if answer.status == 404 { Err(answer.body) } else { Ok(answer) }
        })
        .await;
        let command = "POST /v1/webhooks/payments/{provider}";
        let Some(taken) = tried.judge(command, &body, answer) else { continue };
        let data = &body["data"];
        let order = settled(&tried.staff, checkout.text("/order_id")).await;
        let confirmed = order["status"] == "confirmed";
        assert_eq!(confirmed, body["type"] == "payment.authorised", "{order}");
        if confirmed {
            tried.logs(&taken, json!({"reference": data["reference"]}));
        } else {
            let reasons = json!([{"code": data["code"], "detail": data["detail"]}]);
            assert_shows(&order["reasons"], &reasons);
        }
    }
}
