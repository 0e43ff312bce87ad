use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    id::ProductId,
    money::{Currency, Money},
    testing::{NOW, decide_twice, fold, given, sample, sample::details, sku, usd, uuid},
};

fn created() -> Event {
    Event::Created { sku: sku("A-1"), details: details(), price: usd(129) }
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
fn a_product_is_not_created_under_the_code_of_another() {
    let taken = || {
        let (sku, details) = (sku("A-1"), sample::details());
        Command::Create { sku, details, price: usd(129), sku_taken: true }
    };
    given::<Product>([]).when(taken(), NOW).then_rejected(Rejection::SkuTaken);
}

#[test]
fn create_records_all_there_is() {
    given::<Product>([]).when(create(details(), usd(129)), NOW).then([created()]);
}

#[test]
fn create_again_records_nothing() {
    given::<Product>([created(), Event::Published {}])
        .when(create(details(), usd(129)), NOW)
        .then([]);
}

#[test]
fn create_of_something_else_under_the_same_id_is_rejected() {
    given::<Product>([created()])
        .when(create(details(), usd(130)), NOW)
        .then_rejected(Rejection::Exists);
}

#[test]
fn create_checks_name_and_price() {
    let nameless = Details { name: " ".into(), ..details() };
    given::<Product>([]).when(create(nameless, usd(129)), NOW).then_rejected(Rejection::NameEmpty);
    given::<Product>([])
        .when(create(details(), usd(-1)), NOW)
        .then_rejected(Rejection::PriceNegative);
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
    given::<Product>([created()])
        .when(update(patch), NOW)
        .then([Event::Updated { details: expected }]);
}

#[test]
fn update_that_changes_nothing_records_nothing() {
    given::<Product>([created()]).when(update(Patch::default()), NOW).then([]);
    given::<Product>([created()]).when(rename("Milk 1 l"), NOW).then([]);
}

#[test]
fn update_to_an_empty_name_is_rejected() {
    given::<Product>([created()]).when(rename(""), NOW).then_rejected(Rejection::NameEmpty);
}

#[test]
fn details_have_a_limit_that_patches_cannot_pass_bit_by_bit() {
    let text = || Attribute::Text("x".repeat(DETAILS_BYTES_MAX / 2));
    let attributes = BTreeMap::from([("first".into(), text())]);
    let large = Event::Updated { details: Details { attributes, ..details() } };
    let attributes = BTreeMap::from([("second".into(), Some(text()))]);
    given::<Product>([created(), large])
        .when(update(Patch { attributes, ..Patch::default() }), NOW)
        .then_rejected(Rejection::TooLarge);
}

#[test]
fn change_price_records_a_new_price() {
    given::<Product>([created()])
        .when(change_price(usd(0)), NOW)
        .then([Event::PriceChanged { price: usd(0) }]);
    given::<Product>([created()]).when(change_price(usd(129)), NOW).then([]);
}

#[test]
fn change_price_keeps_the_currency_and_is_not_negative() {
    given::<Product>([created()])
        .when(change_price(Money::new(129, Currency::EUR)), NOW)
        .then_rejected(Rejection::CurrencyDiffers { currency: Currency::USD });
    given::<Product>([created()])
        .when(change_price(usd(-1)), NOW)
        .then_rejected(Rejection::PriceNegative);
}

#[test]
fn publish_and_unpublish_are_recorded_once() {
    let published = [created(), Event::Published {}];
    let unpublished = [created(), Event::Published {}, Event::Unpublished {}];
    given::<Product>([created()]).when(Command::Publish, NOW).then([Event::Published {}]);
    given::<Product>(published.clone()).when(Command::Publish, NOW).then([]);
    given::<Product>(published).when(Command::Unpublish, NOW).then([Event::Unpublished {}]);
    given::<Product>(unpublished.clone()).when(Command::Unpublish, NOW).then([]);
    given::<Product>(unpublished).when(Command::Publish, NOW).then([Event::Published {}]);
    given::<Product>([created()]).when(Command::Unpublish, NOW).then([]);
}

#[test]
fn archived_is_final() {
    let archived = [created(), Event::Published {}, Event::Archived { reason: None }];
    given::<Product>([created()])
        .when(Command::Archive, NOW)
        .then([Event::Archived { reason: None }]);
    given::<Product>(archived.clone()).when(Command::Archive, NOW).then([]);
    for command in [Command::Publish, Command::Unpublish, rename("Oat milk"), change_price(usd(1))]
    {
        given::<Product>(archived.clone()).when(command, NOW).then_rejected(Rejection::Archived);
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
    let published = [created(), Event::Published {}];
    let listing = fold::<Product>(published.clone()).listing(id, 2).unwrap();
    assert_eq!((listing.price, listing.product_revision), (usd(129), 2));
    for last in [Event::Unpublished {}, Event::Archived { reason: None }] {
        let history = published.clone().into_iter().chain([last]);
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
