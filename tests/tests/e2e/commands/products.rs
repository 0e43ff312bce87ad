//! Commands of the catalogue.

use std::collections::BTreeMap;

use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    CASES,
    sent::{
        Member, Optional, Values, currency, draw, needed, nothing, object, optional, price, runner,
        sku, text, text_or_blank, uuid,
    },
    tried::{Tried, assert_shows, sent},
};

const TEXTS: [(&str, usize); 5] = [
    ("description", 10_000),
    ("department", 200),
    ("category", 200),
    ("product_type", 200),
    ("brand", 200),
];

/// Attributes that one request may name.
const ATTRIBUTES_MAX: usize = 100;

/// Its path, and its document as it has to be.
struct Product {
    path: String,
    document: Value,
}

fn details() -> Vec<Member> {
    let texts = TEXTS.into_iter().map(|(name, max)| (name, optional(text(max))));
    texts.chain([("attributes", attributes())]).collect()
}

/// `null` is none here, so they are there or they are not.
fn attributes() -> Optional {
    // Numbers have a test of their own, which looks at each of their digits.
    let value = prop_oneof![
        3 => text_or_blank(10_000),
        2 => any::<i64>().prop_map(Value::from),
        1 => (-99_999..99_999_i32, 1..9_i32).prop_map(|(digits, places)| {
            json!(f64::from(digits) / 10_f64.powi(places))
        }),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let name = text_or_blank(200).prop_map(|name| name.as_str().unwrap_or_default().to_owned());
    let some = prop::collection::btree_map(name, value, 0..3);
    let many = (ATTRIBUTES_MAX - 2..=ATTRIBUTES_MAX + 1, any::<i64>())
        .prop_map(|(count, number)| numbered(count, &json!(number)));
    // Some bytes below what an event takes of a product, and beyond it.
    let large = (12..=13_usize).prop_map(|count| numbered(count, &json!("😀".repeat(10_000))));
    let some = prop_oneof![16 => some, 2 => many, 1 => large];
    let some = some.prop_map(|some| Some(Value::Object(Map::from_iter(some))));
    prop_oneof![3 => some, 1 => Just(None)].boxed()
}

fn numbered(count: usize, value: &Value) -> BTreeMap<String, Value> {
    (0..count).map(|number| (format!("{number}"), value.clone())).collect()
}

pub(super) fn new_product() -> Values {
    let mut members = details();
    let own = [
        ("id", optional(uuid().prop_map(|id| json!(id)))),
        ("sku", needed(sku().prop_map(Value::from))),
        ("name", needed(text(200))),
        ("price", needed(price(currency()))),
    ];
    members.extend(own);
    object(members)
}

/// A product as it is shown that was created like this.
pub(super) fn as_created(sent: &Value) -> Value {
    let mut document = json!({"status": "draft", "attributes": {}});
    for (name, _) in TEXTS {
        document[name] = Value::Null;
    }
    merge(&mut document, sent);
    document
}

fn patch() -> Values {
    let mut members = details();
    members.push(("name", optional(text(200))));
    object(members)
}

/// As RFC 7396 has it, but for a name and an id, which cannot be taken away.
fn merge(document: &mut Value, patch: &Value) {
    let patch = patch.as_object().expect("an object");
    for (name, value) in patch {
        match (name.as_str(), value) {
            ("name" | "id", Value::Null) => {}
            ("attributes", Value::Object(changes)) => {
                let attributes = document["attributes"].as_object_mut().expect("attributes");
                for (name, value) in changes {
                    attributes.insert(name.clone(), value.clone());
                }
                attributes.retain(|_, value| !value.is_null());
            }
            _ => document[name] = value.clone(),
        }
    }
}

/// All of it, and no attribute more.
#[track_caller]
pub(super) fn assert_is(shown: &Value, document: &Value) {
    assert_shows(shown, document);
    let count = |product: &Value| product["attributes"].as_object().map(Map::len);
    assert_eq!(count(shown), count(document), "{shown}");
}

pub(super) async fn try_all(tried: &Tried<'_>) {
    let mut runner = runner(1);
    let (mut known, staff) = (Vec::new(), &tried.staff);
    for _ in 0..CASES {
        let body = draw(&mut runner, &new_product());
        let answer = staff.post("/v1/products", &body).await;
        let Some(created) = tried.judge("POST /v1/products", &body, answer) else { continue };
        let path = format!("/v1/products/{}", created.text("/id"));
        let document = as_created(&body);
        let shown = tried.shown(&path, &created).await;
        assert_is(&shown, &document);
        assert_eq!(shown["revision"], created.body["revision"], "{shown}");
        known.push(Product { path, document });
    }
    for case in 0..CASES {
        let product = case % known.len();
        let product = &mut known[product];
        let body = draw(&mut runner, &patch());
        let answer = staff.patch(&product.path, &body).await;
        if let Some(changed) = tried.judge("PATCH /v1/products/{id}", &body, answer) {
            merge(&mut product.document, &body);
            assert_is(&tried.shown(&product.path, &changed).await, &product.document);
        }

        let own = Just(product.document["price"]["currency"].clone());
        let body =
            object(vec![("price", needed(price(prop_oneof![9 => own, 1 => currency()].boxed())))]);
        let body = draw(&mut runner, &body);
        let answer = staff.post(&format!("{}/price", product.path), &body).await;
        if let Some(changed) = tried.judge("POST /v1/products/{id}/price", &body, answer) {
            product.document["price"] = body["price"].clone();
            assert_is(&tried.shown(&product.path, &changed).await, &product.document);
        }
    }
    for (command, action, status) in [
        ("POST /v1/products/{id}/publish", "publish", "published"),
        ("POST /v1/products/{id}/unpublish", "unpublish", "unpublished"),
        ("POST /v1/products/{id}/archive", "archive", "archived"),
    ] {
        for case in 0..CASES {
            let product = case % known.len();
            let product = &mut known[product];
            let body = draw(&mut runner, &nothing());
            let request = staff.command(Method::POST, &format!("{}/{action}", product.path));
            let answer = sent(request, body.as_ref()).await;
            let Some(changed) = tried.judge(command, &json!(body), answer) else { continue };
            // What was never published is not taken off sale.
            if action != "unpublish" || product.document["status"] == "published" {
                product.document["status"] = status.into();
            }
            assert_is(&tried.shown(&product.path, &changed).await, &product.document);
        }
    }
}
