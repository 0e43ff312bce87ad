//! What carts can be filled with, and what lines of it have to look like.

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use tests::harness::Stack;

use super::sent::{Optional, Values, draw, kept, needed, object, runner, sku, text, text_or_blank};

/// Minor units that a line can amount to.
const LINE_AMOUNT_MAX: i64 = 1_000_000_000_000_000;
/// Lines of one request.
const LINES_MAX: usize = 500;
/// Adjustments of one line in a request.
const ADJUSTMENTS_MAX: usize = 100;
const ON_HAND: i64 = 1_000_000_000;
/// Of the first, one unit is all that a line can hold.
const PRICES: [i64; 4] = [LINE_AMOUNT_MAX, 0, 1, 450];

/// Products of one currency.
#[derive(Clone)]
pub(super) struct Shelf {
    pub(super) currency: &'static str,
    /// As a line shows them.
    pub(super) products: Vec<Value>,
}

impl Shelf {
    pub(super) async fn fill(stack: &Stack, currency: &'static str, topic: u8) -> Self {
        let (mut runner, staff, mut products) = (runner(topic), stack.staff(), Vec::new());
        for amount in PRICES {
            let (sku, name) = (draw(&mut runner, &sku()), draw(&mut runner, &kept(200)));
            let department = draw(&mut runner, &prop::option::of(kept(200)));
            let price = json!({"amount": amount, "currency": currency});
            let product =
                json!({"sku": sku, "name": name, "department": department, "price": price});
            let created = staff.post("/v1/products", &product).await.expect(201);
            let publish = format!("/v1/products/{}/publish", created.text("/id"));
            let _published = staff.post(&publish, &json!({})).await.expect(200);
            let receive = format!("/v1/stock/{sku}/receive");
            let _received = staff.post(&receive, &json!({"quantity": ON_HAND})).await.expect(200);
            products.push(json!({
                "sku": sku, "product_id": created.text("/id"), "name": name,
                "department": department, "unit_price": price,
            }));
        }
        Self { currency, products }
    }

    /// One unit of what costs something.
    pub(super) fn plain_line(&self) -> Value {
        json!({"sku": self.products[3]["sku"], "quantity": 1})
    }

    pub(super) fn line(&self, staff: bool) -> Values {
        let skus: Vec<_> = self.products.iter().map(|it| it["sku"].clone()).collect();
        let dear = Just(skus[0].clone());
        let sku = prop_oneof![
            30 => select(skus[1..].to_vec()),
            1 => dear,
            1 => Just(json!("nothing-like-it")),
        ];
        object(vec![
            ("sku", needed(sku)),
            ("quantity", needed(quantity(1, staff))),
            ("adjustments", self.adjustments(staff)),
        ])
    }

    pub(super) fn lines(&self, staff: bool) -> Values {
        let some = prop::collection::vec(self.line(staff), 0..4);
        let plain = self.plain_line();
        let many =
            (LINES_MAX - 1..=LINES_MAX + 1).prop_map(move |count| vec![plain.clone(); count]);
        prop_oneof![14 => some, 1 => many].prop_map(Value::from).boxed()
    }

    /// Of a line of anybody's; guests have none to give.
    pub(super) fn adjustments(&self, staff: bool) -> Optional {
        let none = prop_oneof![Just(None), Just(Some(json!([])))];
        if !staff {
            let refused = self.adjustment(&[1]).prop_map(|one| Some(json!([one])));
            return prop_oneof![20 => none, 1 => refused].boxed();
        }
        // The last two fit hardly any line: one with nothing else in it, and none.
        let amounts = [0, 0, 1, 1, 100, 100, 999_999, 999_999, -1, LINE_AMOUNT_MAX, i64::MIN];
        let some = prop::collection::vec(self.adjustment(&amounts), 1..3);
        let many = (self.adjustment(&[0]), ADJUSTMENTS_MAX - 1..=ADJUSTMENTS_MAX + 1);
        let many = many.prop_map(|(one, count)| vec![one; count]);
        let some = prop_oneof![8 => some, 1 => many].prop_map(|some| Some(some.into()));
        prop_oneof![1 => none, 1 => some].boxed()
    }

    fn adjustment(&self, amounts: &[i64]) -> Values {
        let amount = select(amounts.to_vec()).prop_map(Value::from);
        let currency = prop_oneof![30 => Just(self.currency), 1 => Just("XAF")];
        let currency = currency.prop_map(Value::from);
        let amount = object(vec![("amount", needed(amount)), ("currency", needed(currency))]);
        object(vec![
            ("kind", needed(text(200))),
            ("amount", needed(amount)),
            ("reason", needed(text_or_blank(200))),
        ])
    }

    /// Lines as a cart shows them that it got one after the other: those of one SKU are one.
    pub(super) fn shown(&self, lines: &[Value]) -> Vec<Value> {
        let mut shown: Vec<Value> = Vec::new();
        for line in lines {
            let quantity = line["quantity"].as_i64().expect("a quantity");
            let added = adjustments_of(line);
            match shown.iter_mut().find(|it| it["sku"] == line["sku"]) {
                Some(known) => {
                    let (before, mut all) = (number(&known["quantity"]), adjustments_of(known));
                    all.extend(added);
                    *known = self.priced(&line["sku"], before + quantity, all);
                }
                None => shown.push(self.priced(&line["sku"], quantity, added)),
            }
        }
        shown
    }

    fn priced(&self, sku: &Value, quantity: i64, adjustments: Vec<Value>) -> Value {
        let mut line =
            self.products.iter().find(|it| it["sku"] == *sku).expect("a product").clone();
        let added: i64 = adjustments.iter().map(|it| number(&it["amount"]["amount"])).sum();
        let total = number(&line["unit_price"]["amount"]) * quantity + added;
        line["quantity"] = quantity.into();
        line["adjustments"] = adjustments.into();
        line["total"] = self.money(total);
        line
    }

    pub(super) fn totals(&self, lines: &[Value]) -> Value {
        let of = |line: &Value| number(&line["unit_price"]["amount"]) * number(&line["quantity"]);
        let subtotal: i64 = lines.iter().map(of).sum();
        let total: i64 = lines.iter().map(|line| number(&line["total"]["amount"])).sum();
        json!({
            "subtotal": self.money(subtotal), "discount": self.money(subtotal - total),
            "total": self.money(total),
        })
    }

    fn money(&self, amount: i64) -> Value {
        json!({"amount": amount, "currency": self.currency})
    }
}

/// More than a guest may have in a cart is refused to them.
pub(super) fn quantity(min: i64, staff: bool) -> Values {
    let most = if staff { 1_000_000 } else { 10_000 };
    prop_oneof![
        20 => min..100_i64,
        5 => select(vec![min, most / 2, most]),
        1 => select(vec![min - 1, most + 1, i64::from(u32::MAX)]),
    ]
    .prop_map(Value::from)
    .boxed()
}

pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().expect("a whole number")
}

fn adjustments_of(line: &Value) -> Vec<Value> {
    line["adjustments"].as_array().cloned().unwrap_or_default()
}
