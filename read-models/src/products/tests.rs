use serde_json::{Value, json};

use super::*;
use crate::testing::{fold, recorded_at, usd};

const ID: Uuid = Uuid::from_u128(1);

fn created() -> Value {
    let details = json!({ "name": "Milk", "department": "DAIRY", "attributes": { "fat": 3.5 } });
    json!({ "type": "created", "data": { "sku": "M-1", "details": details, "price": usd(120) } })
}

#[test]
fn a_product_is_as_its_last_events_say() {
    let events = [
        created(),
        json!({ "type": "updated", "data": { "details": { "name": "Whole milk" } } }),
        json!({ "type": "price_changed", "data": { "price": usd(130) } }),
        json!({ "type": "published", "data": {} }),
    ];
    let product = fold::<ProductRow>(StreamType::Product, ID, &events).unwrap().0.unwrap();
    let expected = ProductRow {
        id: ID,
        sku: "M-1".into(),
        name: "Whole milk".into(),
        description: None,
        department: None,
        category: None,
        product_type: None,
        brand: None,
        attributes: Json::default(),
        price_amount: 130,
        price_currency: "USD".into(),
        status: "published".into(),
        created_at: recorded_at(1),
        updated_at: recorded_at(4),
        revision: 4,
    };
    assert_eq!(product, expected);
}

#[test]
fn an_event_that_does_not_follow_is_refused() {
    let published = json!({ "type": "published", "data": {} });
    assert_eq!(
        fold::<ProductRow>(StreamType::Product, ID, &[published]),
        Err(Inapplicable::UnknownStream)
    );
    assert_eq!(
        fold::<ProductRow>(StreamType::Product, ID, &[created(), created()]),
        Err(Inapplicable::ExistsAlready)
    );
}
