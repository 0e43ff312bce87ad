use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{
    NOW, decide_twice, decides, event, fold, given, sample::details, sku, usd, uuid,
};

fn created() -> Event {
    let data = json!({ "sku": "A-1", "details": details(), "price": usd(129) });
    event::<Product>("created", data)
}

fn updated(details: &Details) -> Event {
    event::<Product>("updated", json!({ "details": details }))
}

fn price_changed(amount: i64) -> Event {
    event::<Product>("price_changed", json!({ "price": usd(amount) }))
}

fn published() -> Event {
    event::<Product>("published", json!({}))
}

fn unpublished() -> Event {
    event::<Product>("unpublished", json!({}))
}

fn archived() -> Event {
    event::<Product>("archived", json!({}))
}

fn create(details: Details, price: Money) -> Command {
    Command::Create { sku: sku("A-1"), details, price, sku_taken: false }
}

fn update(patch: Patch) -> Command {
    Command::Update { patch }
}

fn rename(name: &str) -> Command {
    update(Patch { name: Some(name.into()), ..Patch::default() })
}

fn change_price(price: Money) -> Command {
    Command::ChangePrice { price }
}

#[test]
fn a_product_is_created_once() {
    let (sku, price) = (sku("A-1"), usd(129));
    let taken = Command::Create { sku, details: details(), price, sku_taken: true };
    let nameless = Details { name: " ".into(), ..details() };
    let on_sale = vec![created(), published()];
    decides::<Product>([
        ("all there is", vec![], create(details(), usd(129)), Ok(vec![created()])),
        ("again", on_sale, create(details(), usd(129)), Ok(vec![])),
        ("differs", vec![created()], create(details(), usd(130)), Err(Rejection::Exists)),
        ("code of another", vec![], taken, Err(Rejection::SkuTaken)),
        ("no name", vec![], create(nameless, usd(129)), Err(Rejection::NameEmpty)),
        ("price", vec![], create(details(), usd(-1)), Err(Rejection::PriceNegative)),
    ]);
}

#[test]
fn update_merges_the_patch() {
    let patch = Patch {
        description: Some(None),
        brand: Some(Some("Private".into())),
        attributes: BTreeMap::from([
            ("fat".into(), None),
            ("litres".into(), Some(2.into())),
            ("organic".into(), Some(true.into())),
        ]),
        ..Patch::default()
    };
    let expected = Details {
        description: None,
        brand: Some("Private".into()),
        attributes: BTreeMap::from([("litres".into(), 2.into()), ("organic".into(), true.into())]),
        ..details()
    };
    given::<Product>([created()]).when(update(patch), NOW).then([updated(&expected)]);
}

#[test]
fn details_have_a_limit_that_patches_cannot_pass_bit_by_bit() {
    let text = || Attribute::Text("x".repeat(DETAILS_BYTES_MAX / 2));
    let attributes = BTreeMap::from([("first".into(), text())]);
    let large = updated(&Details { attributes, ..details() });
    let attributes = BTreeMap::from([("second".into(), Some(text()))]);
    given::<Product>([created(), large])
        .when(update(Patch { attributes, ..Patch::default() }), NOW)
        .then_rejected(Rejection::TooLarge);
}

#[test]
fn only_what_differs_is_recorded_and_only_if_it_is_in_order() {
    let in_euros = change_price(Money::new(129, Currency::EUR));
    let differs = Rejection::CurrencyDiffers { currency: Currency::USD };
    decides::<Product>([
        ("no change", vec![created()], update(Patch::default()), Ok(vec![])),
        ("the same name", vec![created()], rename("Milk 1 l"), Ok(vec![])),
        ("no name", vec![created()], rename(""), Err(Rejection::NameEmpty)),
        ("price", vec![created()], change_price(usd(0)), Ok(vec![price_changed(0)])),
        ("the same price", vec![created()], change_price(usd(129)), Ok(vec![])),
        ("currency", vec![created()], in_euros, Err(differs)),
        ("below zero", vec![created()], change_price(usd(-1)), Err(Rejection::PriceNegative)),
    ]);
}

#[test]
fn publish_and_unpublish_are_recorded_once() {
    let on_sale = || vec![created(), published()];
    let withdrawn = || vec![created(), published(), unpublished()];
    decides::<Product>([
        ("publish", vec![created()], Command::Publish, Ok(vec![published()])),
        ("publish again", on_sale(), Command::Publish, Ok(vec![])),
        ("unpublish", on_sale(), Command::Unpublish, Ok(vec![unpublished()])),
        ("unpublish again", withdrawn(), Command::Unpublish, Ok(vec![])),
        ("publish anew", withdrawn(), Command::Publish, Ok(vec![published()])),
        ("never published", vec![created()], Command::Unpublish, Ok(vec![])),
    ]);
}

#[test]
fn archived_is_final() {
    let history = [created(), published(), archived()];
    given::<Product>([created()]).when(Command::Archive, NOW).then([archived()]);
    given::<Product>(history.clone()).when(Command::Archive, NOW).then([]);
    for command in [Command::Publish, Command::Unpublish, rename("Oat milk"), change_price(usd(1))]
    {
        given::<Product>(history.clone()).when(command, NOW).then_rejected(Rejection::Archived);
    }
}

#[test]
fn commands_on_a_product_that_was_never_created_are_rejected() {
    for command in [
        Command::Publish,
        Command::Unpublish,
        Command::Archive,
        rename("Oat milk"),
        change_price(usd(1)),
    ] {
        given::<Product>([]).when(command, NOW).then_rejected(Rejection::NotFound);
    }
}

#[test]
fn only_a_published_product_has_a_listing() {
    let id = ProductId::new(uuid(1));
    let on_sale = [created(), published()];
    let listing = fold::<Product>(on_sale.clone()).listing(id, 2).unwrap();
    assert_eq!((listing.price, listing.product_revision), (usd(129), 2));
    for last in [unpublished(), archived()] {
        let history = on_sale.clone().into_iter().chain([last]);
        assert_eq!(fold::<Product>(history).listing(id, 3), None);
    }
    assert_eq!(fold::<Product>([created()]).listing(id, 1), None);
}

proptest! {
    #[test]
    fn deciding_twice_yields_nothing(
        commands in prop::collection::vec(prop_oneof![
            (0..2_i64).prop_map(|price| create(details(), usd(price))),
            "[ab]?".prop_map(|name| rename(&name)),
            (-1..3_i64).prop_map(|price| change_price(usd(price))),
            Just(Command::Publish),
            Just(Command::Unpublish),
            Just(Command::Archive),
        ], 0..30),
    ) {
        let steps = commands.into_iter().map(|command| (command, NOW));
        decide_twice::<Product>(steps, |_| false, |_| {});
    }
}
