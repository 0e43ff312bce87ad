//! The checkout of a cart, and the order that it becomes.

use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    carts::Cart,
    sent::{
        Member, Optional, Values, always, country, draw, instant, kept_instant, needed, object,
        optional, text, text_or_blank, uuid,
    },
    shelf::number,
    tried::{Tried, assert_shows},
};
use crate::shop::settled;

/// 0001-01-01 and the end of 2025.
const SECONDS: std::ops::Range<i64> = -62_135_596_800..1_767_225_600;
const EDGES: [&str; 7] = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+00:01",
    "0000-12-31T23:59:59.9999999-23:59",
    "1969-12-31t23:59:59.9999999-00:00",
    "2016-12-31T23:59:60Z",
    "2023-02-29T12:00:00Z",
    "9999-12-31T23:59:59.999999Z",
];

/// An order that came of a cart.
pub(super) struct Order {
    id: String,
    expected: Value,
    is_paid: bool,
}

fn email() -> Values {
    let long = format!("{}@example.org", "é".repeat(242));
    prop_oneof![
        6 => "[a-z0-9.+_-]{1,20}@[a-z0-9]{1,20}(\\.[a-z]{1,10}){1,3}",
        3 => "[^@ \\p{C}\\p{Z}]{1,20}@[^@. \\p{C}\\p{Z}]{1,20}\\.[^@. \\p{C}\\p{Z}]{1,9}",
        1 => Just(long.clone()),
        1 => select(vec![format!("e{long}"), "no".to_owned(), "a@b".to_owned(), "a b@c.d".to_owned()]),
    ]
    .prop_map(Value::from)
    .boxed()
}

fn address() -> Values {
    object(vec![
        ("name", needed(text(200))),
        ("line1", needed(text(200))),
        ("line2", optional(text_or_blank(200))),
        ("city", needed(text(200))),
        ("region", optional(text_or_blank(200))),
        ("postal_code", optional(text_or_blank(200))),
        ("country", needed(country())),
    ])
}

/// What was left blank is absent.
fn kept_address(sent: &Value) -> Value {
    let mut kept = sent.clone();
    for field in ["line2", "region", "postal_code"] {
        if kept[field].as_str().is_some_and(|text| text.trim().is_empty()) {
            kept[field] = Value::Null;
        }
    }
    kept
}

fn payment(tokens: &[&'static str]) -> Optional {
    let known = select(tokens.to_vec()).prop_map(Value::from);
    let token = prop_oneof![3 => known, 1 => text(200)];
    needed(object(vec![("method_token", needed(token))]))
}

fn web(staff: bool) -> Values {
    let mut members = vec![
        ("email", always(email())),
        ("shipping_address", always(address())),
        ("payment", payment(&["tok_ok", "tok_ok", "tok_declined", "tok_insufficient_funds"])),
        ("accept_price_changes", prop_oneof![Just(None), Just(Some(json!(true)))].boxed()),
        ("channel", prop_oneof![Just(None), Just(Some(json!("web")))].boxed()),
    ];
    if staff {
        members.extend([("customer_reference", optional(text(200))), order_id()]);
    }
    object(members)
}

fn till() -> Values {
    object(vec![
        ("email", optional(email())),
        ("shipping_address", optional(address())),
        ("payment", payment(&["cash", "cash", "tok_ok", "tok_declined"])),
        ("channel", always(Just(json!("pos")))),
        ("occurred_at", optional(instant(SECONDS, &EDGES))),
        ("customer_reference", optional(text(200))),
        order_id(),
    ])
}

fn order_id() -> Member {
    ("order_id", optional(uuid().prop_map(|id| json!(id))))
}

pub(super) async fn check_out(cart: &mut Cart<'_>, runner: &mut TestRunner) -> Option<Order> {
    cart.has_a_line().await;
    let terms = if cart.staff {
        prop_oneof![1 => web(true), 2 => till(), ].boxed()
    } else {
        prop_oneof![20 => web(false), 1 => till()].boxed()
    };
    let body = draw(runner, &terms);
    let answer = cart.send(Method::POST, "checkout", Some(&body)).await;
    let command = "POST /v1/carts/{id}/checkout";
    let checked_out = cart.tried.judge(command, &body, answer)?;
    cart.shows(&checked_out, "checked_out").await;

    let id = checked_out.text("/order_id").to_owned();
    let totals = cart.shelf.totals(&cart.lines);
    let (token, channel) = (&body["payment"]["method_token"], &body["channel"]);
    let mut expected = json!({
        "id": id, "cart_id": cart.id, "lines": cart.lines, "totals": totals,
        "channel": channel.as_str().unwrap_or("web"),
        "customer_reference": body["customer_reference"],
    });
    if body["order_id"].is_string() {
        assert_eq!(id, body["order_id"]);
    }
    if body["occurred_at"].is_string() {
        expected["placed_at"] = kept_instant(&body["occurred_at"]);
    }
    let path = format!("/v1/orders/{id}");
    assert_shows(&cart.tried.shown(&path, &checked_out).await, &expected);
    let address = &body["shipping_address"];
    let unshown = json!({
        "method_token": token, "email": body["email"], "shipping_address": kept_address(address),
    });
    cart.tried.logs(&checked_out, json!({"order_id": id, "checkout": unshown}));
    let is_paid = *token == "tok_ok" || *token == "cash" || number(&totals["total"]["amount"]) == 0;
    Some(Order { id, expected, is_paid })
}

impl Order {
    /// It is confirmed or rejected as its payment goes, and shows still what was agreed.
    pub(super) async fn comes_to_its_end(&self, tried: &Tried<'_>) {
        let order = settled(&tried.staff, &self.id).await;
        assert_shows(&order, &self.expected);
        assert_eq!(order["status"] == "confirmed", self.is_paid, "{order}");
    }
}
