use proptest::prelude::*;

use super::*;
use crate::{
    id::ProductId,
    testing::{NOW, decide_twice, fold, given, golden, sample, usd, uuid},
};

fn product(n: u128) -> ProductId {
    ProductId::new(uuid(n))
}

fn listing(n: u128, product_revision: u64) -> Listing {
    Listing {
        product_id: product(n),
        name: "Milk".into(),
        department: Some("DAIRY".into()),
        price: usd(129),
        product_revision,
    }
}

fn claimed(n: u128) -> Event {
    Event::Claimed { product_id: product(n) }
}

fn listed(product_revision: u64) -> Event {
    Event::Listed { listing: listing(1, product_revision) }
}

fn delisted(product_revision: u64) -> Event {
    Event::Delisted { product_revision }
}

fn claim(n: u128) -> Command {
    Command::Claim { product_id: product(n) }
}

fn list(n: u128, product_revision: u64) -> Command {
    Command::List { listing: listing(n, product_revision) }
}

fn delist(n: u128, product_revision: u64) -> Command {
    Command::Delist { product_id: product(n), product_revision }
}

#[test]
fn every_event_keeps_its_stored_shape() {
    golden::check_all("sku", &sample::claim());
}

#[test]
fn claim_is_for_good() {
    given::<SkuClaim>([]).when(claim(1), NOW).then([claimed(1)]);
    given::<SkuClaim>([claimed(1)]).when(claim(1), NOW).then([]);
    given::<SkuClaim>([claimed(1), listed(2), delisted(3)])
        .when(claim(2), NOW)
        .then_rejected(Rejection::Taken);
}

#[test]
fn list_records_newer_facts_only() {
    given::<SkuClaim>([claimed(1)]).when(list(1, 2), NOW).then([listed(2)]);
    given::<SkuClaim>([claimed(1), listed(2)]).when(list(1, 2), NOW).then([]);
    given::<SkuClaim>([claimed(1), listed(2)]).when(list(1, 3), NOW).then([listed(3)]);
}

#[test]
fn list_that_comes_after_a_newer_delist_records_nothing() {
    given::<SkuClaim>([claimed(1), delisted(3)]).when(list(1, 2), NOW).then([]);
}

#[test]
fn delist_that_comes_after_a_newer_list_records_nothing() {
    given::<SkuClaim>([claimed(1), listed(3)]).when(delist(1, 2), NOW).then([]);
    given::<SkuClaim>([claimed(1), listed(3)]).when(delist(1, 4), NOW).then([delisted(4)]);
}

#[test]
fn only_the_product_that_claimed_it_lists_and_delists() {
    given::<SkuClaim>([claimed(1)]).when(list(2, 2), NOW).then_rejected(Rejection::Taken);
    given::<SkuClaim>([claimed(1)]).when(delist(2, 2), NOW).then_rejected(Rejection::Taken);
    given::<SkuClaim>([]).when(list(1, 2), NOW).then_rejected(Rejection::NotFound);
    given::<SkuClaim>([]).when(delist(1, 2), NOW).then_rejected(Rejection::NotFound);
}

#[test]
fn a_delisted_sku_has_no_listing() {
    let sku: SkuClaim = fold([claimed(1), listed(2), delisted(3)]);
    assert_eq!((sku.product_id, sku.listing), (Some(product(1)), None));
}

proptest! {
    #[test]
    fn deciding_twice_yields_nothing(
        commands in prop::collection::vec(prop_oneof![
            (1..3_u128).prop_map(claim),
            (1..3_u128, 1..9_u64).prop_map(|(n, revision)| list(n, revision)),
            (1..3_u128, 1..9_u64).prop_map(|(n, revision)| delist(n, revision)),
        ], 0..30),
    ) {
        let steps = commands.into_iter().map(|command| (command, NOW));
        decide_twice::<SkuClaim>(steps, |_| false, |_| {});
    }
}
