use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    aggregate::Decide,
    claim::CONFIRM_WAIT,
    id::ProductId,
    testing::{NOW, decide_twice, fold, given, usd, uuid},
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

/// As releases before claims had a deadline wrote it.
fn claimed(n: u128) -> Event {
    Event::Claimed { product_id: product(n), expires_at: None }
}

fn reserved(n: u128) -> Event {
    Event::Claimed { product_id: product(n), expires_at: Some(NOW.plus(CONFIRM_WAIT)) }
}

fn confirmed(n: u128) -> Event {
    Event::Confirmed { product_id: product(n) }
}

fn withdrawn(n: u128) -> Event {
    Event::Withdrawn { product_id: product(n) }
}

fn released(n: u128) -> Event {
    Event::Released { product_id: product(n) }
}

fn expired(n: u128) -> Event {
    Event::Expired { product_id: product(n) }
}

fn lapsed(n: u128) -> Event {
    Event::Lapsed { product_id: product(n) }
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

fn confirm(n: u128) -> Command {
    Command::Confirm { product_id: product(n) }
}

fn withdraw(n: u128) -> Command {
    Command::Withdraw { product_id: product(n) }
}

fn release(n: u128) -> Command {
    Command::Release { product_id: product(n) }
}

fn list(n: u128, product_revision: u64) -> Command {
    Command::List { listing: listing(n, product_revision) }
}

fn delist(n: u128, product_revision: u64) -> Command {
    Command::Delist { product_id: product(n), product_revision }
}

#[test]
fn a_claim_waits_for_its_product() {
    given::<SkuClaim>([]).when(claim(1), NOW).then([reserved(1)]);
    given::<SkuClaim>([reserved(1)]).when(claim(1), NOW).then([]);
    given::<SkuClaim>([reserved(1)]).when(claim(2), NOW).then_rejected(Rejection::Taken);
    given::<SkuClaim>([reserved(1)]).when(confirm(1), NOW).then([confirmed(1)]);
    given::<SkuClaim>([reserved(1)]).when(confirm(2), NOW).then_rejected(Rejection::Taken);
}

#[test]
fn a_claim_of_whose_product_nothing_is_heard_is_looked_after() {
    let deadline = NOW.plus(CONFIRM_WAIT);
    assert_eq!(fold::<SkuClaim>([reserved(1)]).next_deadline(), Some(deadline));
    given::<SkuClaim>([reserved(1)]).when(Command::Lapse, NOW).then([]);
    given::<SkuClaim>([reserved(1)]).when(Command::Lapse, deadline).then([lapsed(1)]);
    assert_eq!(fold::<SkuClaim>([reserved(1), lapsed(1)]).next_deadline(), None);
    let given_lapsed = || given::<SkuClaim>([reserved(1), lapsed(1)]);
    given_lapsed().when(claim(2), NOW).then_rejected(Rejection::Taken);
    given_lapsed().when(confirm(1), NOW).then([confirmed(1)]);
    given_lapsed().when(withdraw(1), NOW).then([withdrawn(1)]);
}

#[test]
fn a_claim_whose_product_does_not_come_is_given_up() {
    given::<SkuClaim>([reserved(1)]).when(withdraw(1), NOW).then([withdrawn(1)]);
    for end in [expired(1), withdrawn(1)] {
        given::<SkuClaim>([reserved(1), end.clone()]).when(claim(2), NOW).then([reserved(2)]);
        given::<SkuClaim>([reserved(1), end]).when(confirm(1), NOW).then([confirmed(1)]);
    }
}

#[test]
fn a_product_that_is_listed_has_its_code() {
    for before in [vec![reserved(1)], vec![reserved(1), lapsed(1)]] {
        given::<SkuClaim>(before.clone()).when(list(1, 2), NOW).then([listed(2)]);
        let state: SkuClaim = fold(before.into_iter().chain([listed(2)]));
        assert_eq!((state.next_deadline(), state.claim.is_held_by(product(1))), (None, true));
    }
}

#[test]
fn a_product_keeps_its_code_until_it_goes() {
    for owned in [vec![claimed(1)], vec![reserved(1), confirmed(1)]] {
        let state: SkuClaim = fold(owned.clone());
        assert_eq!(state.next_deadline(), None);
        given::<SkuClaim>(owned.clone()).when(claim(2), NOW).then_rejected(Rejection::Taken);
        given::<SkuClaim>(owned.clone()).when(withdraw(1), NOW).then([]);
        given::<SkuClaim>(owned.clone()).when(release(2), NOW).then([]);
        given::<SkuClaim>(owned.clone()).when(confirm(1), NOW).then([]);
        given::<SkuClaim>(owned).when(release(1), NOW).then([released(1)]);
    }
}

#[test]
fn a_code_that_changes_hands_takes_nothing_along() {
    let handed_over = || [confirmed(1), listed(7), released(1), confirmed(2)];
    let state: SkuClaim = fold(handed_over());
    assert_eq!((state.listing, state.product_revision), (None, 0));
    let event = Event::Listed { listing: listing(2, 2) };
    given::<SkuClaim>(handed_over()).when(list(2, 2), NOW).then([event]);
    given::<SkuClaim>(handed_over()).when(list(1, 8), NOW).then_rejected(Rejection::Taken);
    given::<SkuClaim>(handed_over()).when(delist(1, 8), NOW).then_rejected(Rejection::Taken);
    given::<SkuClaim>(handed_over()).when(release(1), NOW).then([]);
}

#[test]
fn a_product_that_is_archived_does_not_take_its_code_back() {
    given::<SkuClaim>([reserved(1), released(1)]).when(confirm(1), NOW).then([]);
    given::<SkuClaim>([confirmed(1), released(1)]).when(claim(2), NOW).then([reserved(2)]);
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
    assert_eq!((sku.claim.owner(), sku.listing), (Some(product(1)), None));
}

proptest! {
    #[test]
    fn deciding_twice_yields_nothing(
        commands in prop::collection::vec(prop_oneof![
            (1..3_u128).prop_map(claim),
            (1..3_u128).prop_map(confirm),
            (1..3_u128).prop_map(withdraw),
            (1..3_u128).prop_map(release),
            Just(Command::Lapse),
            (1..3_u128, 1..9_u64).prop_map(|(n, revision)| list(n, revision)),
            (1..3_u128, 1..9_u64).prop_map(|(n, revision)| delist(n, revision)),
        ], 0..30),
    ) {
        let steps = (0_u64..).zip(commands).map(|(step, command)| {
            (command, NOW.plus(Duration::from_secs(step.saturating_mul(20))))
        });
        decide_twice::<SkuClaim>(steps, |_| false, |_| {});
    }
}
