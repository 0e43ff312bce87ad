//! Whose a SKU is: never that of a product which does not exist, whoever died on the way.

use std::{fmt::Display, sync::Arc, time::Duration};

use domain::{
    Listed,
    addressed::Addressed,
    claim::{CONFIRM_WAIT, Standing},
    id::{CommandId, ProductId, Sku},
    money::{Currency, Money},
    product::{self, Details, Product, Status},
    sku::{self, SkuClaim},
};
use futures_util::future::join_all;
use infra::log::memory::MemoryLog;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::{cart_of, product_with_id};
use crate::{
    engine::Submission,
    testing::{Answer, World, eventually, moving_clock},
};

const ID: &str = "0198c0de-0000-7000-8000-000000000001";

fn uuid(n: u128) -> String {
    Uuid::from_u128(n).to_string()
}

impl World {
    /// What a handler does that dies before its next step.
    async fn step<A: Listed>(&self, id: &A::Id, command: A::Command) {
        let (addressed, command_id) =
            (Addressed::to::<A>(id, command), CommandId::new(Uuid::now_v7()));
        let submission = Submission::new(addressed, command_id, "test".into());
        self.engine.submit(submission, Instant::now() + Duration::from_secs(10)).await.unwrap();
    }

    async fn create(&self, id: impl Display, sku: &str) -> Answer {
        self.staff("POST", "/v1/products", product_with_id(id, sku)).await
    }

    async fn claim_of(&self, sku: &str) -> Arc<SkuClaim> {
        self.read(&self::sku(sku)).await
    }

    async fn eventually_claimed(&self, sku: &str, expected: Standing<ProductId>) {
        eventually(&format!("{sku} is {expected:?}"), || async {
            (self.claim_of(sku).await.claim.standing() == expected).then_some(())
        })
        .await;
    }
}

fn claim(product_id: ProductId) -> sku::Command {
    sku::Command::Claim { product_id }
}

fn create(sku: &str) -> product::Command {
    let details = Details { name: "Tea".into(), ..Details::default() };
    let price = Money::new(250, Currency::USD);
    product::Command::Create { sku: sku.parse().unwrap(), details, price, sku_taken: false }
}

fn sku(code: &str) -> Sku {
    code.parse().unwrap()
}

fn too_large(id: &str, sku: &str) -> Value {
    let mut large = product_with_id(id, sku);
    let text = "x".repeat(10_000);
    let attributes = (0..60).map(|n| (format!("text-{n}"), text.clone().into()));
    large["attributes"] = Value::Object(attributes.collect());
    large
}

#[tokio::test]
async fn a_creation_under_a_key_that_was_used_leaves_its_sku_free() {
    let world = World::start();
    let first = world.keyed("k", "POST", "/v1/products", too_large(ID, "T-1")).await;
    first.expect_problem(422, "product.too_large");
    let reused = world.keyed("k", "POST", "/v1/products", product_with_id(ID, "T-2")).await;
    reused.expect_problem(422, "idempotency_key_reused");
    world.create(uuid(2), "T-2").await.expect(201);
}

#[tokio::test]
async fn a_product_that_is_refused_leaves_its_sku_free() {
    let world = World::start();
    let large = too_large(&uuid(1), "T-1");
    let refused = world.keyed("large", "POST", "/v1/products", large.clone()).await;
    refused.expect_problem(422, "product.too_large");
    world.create(uuid(2), "T-1").await.expect(201);
    // And the refusal stays what it was.
    let again = world.keyed("large", "POST", "/v1/products", large).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    again.expect_problem(422, "product.too_large");
    let owner = ProductId::new(Uuid::from_u128(2));
    assert!(world.claim_of("T-1").await.claim.stands_for(owner));
}

#[tokio::test]
async fn of_two_creations_of_one_id_the_loser_takes_no_sku_along() {
    let world = World::start();
    for round in 0..20 {
        let id = uuid(100 + round);
        let skus = [format!("L-{round}"), format!("R-{round}")];
        let both = skus.iter().map(|sku| world.create(&id, sku));
        let answers = join_all(both).await;
        let statuses: Vec<u16> = answers.iter().map(|seen| seen.status).collect();
        let lost = statuses.iter().position(|status| *status != 201).unwrap();
        assert_eq!((statuses[lost], statuses[1 - lost]), (409, 201));
        world.create(uuid(200 + round), &skus[lost]).await.expect(201);
        let taken = world.create(uuid(300 + round), &skus[1 - lost]).await;
        taken.expect_problem(409, "sku.taken");
    }
}

#[tokio::test]
async fn two_creations_of_one_id_with_one_sku_leave_it_to_the_product_there_is() {
    let world = World::start();
    for round in 0..20 {
        let (id, sku) = (uuid(100 + round), format!("S-{round}"));
        let mut other = product_with_id(&id, &sku);
        other["name"] = "Coffee".into();
        let other = world.staff("POST", "/v1/products", other);
        let (first, second) = tokio::join!(world.create(&id, &sku), other);
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        let owner = ProductId::new(Uuid::from_u128(100 + round));
        assert!(world.claim_of(&sku).await.claim.stands_for(owner));
        world.tell_product(owner, "publish").await.expect(200);
        assert_eq!(world.claim_of(&sku).await.claim.standing(), Standing::Held { owner });
    }
}

#[tokio::test]
async fn a_creation_that_is_refused_takes_no_claim_of_another_along() {
    let world = World::start();
    let owner: ProductId = ID.parse().unwrap();
    // Another request for the same product has come as far as this.
    world.step::<SkuClaim>(&sku("T-1"), claim(owner)).await;
    let refused = world.staff("POST", "/v1/products", too_large(ID, "T-1")).await;
    refused.expect_problem(422, "product.too_large");
    assert!(world.claim_of("T-1").await.claim.stands_for(owner));
}

#[tokio::test]
async fn a_replayed_creation_is_answered_as_before_whoever_has_its_sku_by_then() {
    let world = World::start();
    let create = || world.keyed("first", "POST", "/v1/products", product_with_id(ID, "T-1"));
    let first = create().await.expect(201);
    world.tell_product(ID, "archive").await.expect(200);
    world.create(uuid(2), "T-1").await.expect(201);
    let again = create().await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
}

#[tokio::test]
async fn an_archived_product_gives_its_sku_to_a_new_one() {
    let world = World::start();
    for _ in 0..3 {
        let id = world.product("T-1", 0).await;
        let buy = || world.guest("POST", "/v1/carts", cart_of(["T-1"]));
        buy().await.expect(201);
        world.tell_product(id, "archive").await.expect(200);
        buy().await.expect_problem(422, "sku_not_sellable");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_handler_died_is_given_up() {
    let (manual, _time) = moving_clock();
    let world = World::over(Arc::new(MemoryLog::new(4)), manual.into());
    world.step::<SkuClaim>(&sku("T-1"), claim(ProductId::new(Uuid::from_u128(1)))).await;
    world.create(ID, "T-1").await.expect_problem(409, "sku.taken");
    tokio::time::sleep(CONFIRM_WAIT).await;
    eventually("the claim is given up", || async {
        world.claim_of("T-1").await.claim.owner().is_none().then_some(())
    })
    .await;
    world.create(ID, "T-1").await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn a_draft_keeps_its_sku_for_good() {
    let (manual, _time) = moving_clock();
    let world = World::over(Arc::new(MemoryLog::new(4)), manual.into());
    world.create(ID, "T-1").await.expect(201);
    let owner: ProductId = ID.parse().unwrap();
    assert!(matches!(world.claim_of("T-1").await.claim.standing(), Standing::Reserved { .. }));
    tokio::time::sleep(CONFIRM_WAIT).await;
    world.eventually_claimed("T-1", Standing::Held { owner }).await;
    world.create(uuid(2), "T-1").await.expect_problem(409, "sku.taken");
}

#[tokio::test]
async fn what_a_dead_handler_left_of_a_creation_is_completed() {
    let world = World::start();
    let owner = ProductId::new(Uuid::from_u128(1));
    world.step::<SkuClaim>(&sku("T-1"), claim(owner)).await;
    world.step::<Product>(&owner, create("T-1")).await;
    world.step::<Product>(&owner, product::Command::Publish).await;
    eventually("it is listed", || async { world.claim_of("T-1").await.listing.clone() }).await;
    world.step::<Product>(&owner, product::Command::Archive).await;
    world.eventually_claimed("T-1", Standing::Free).await;
}

#[tokio::test]
async fn a_product_that_comes_after_its_sku_has_gone_is_archived_with_that_reason() {
    let world = World::start();
    world.create(ID, "T-1").await.expect(201);
    let late = ProductId::new(Uuid::from_u128(1));
    world.step::<Product>(&late, create("T-1")).await;
    eventually("it is archived", || async {
        (world.read::<Product>(&late).await.status == Status::Archived).then_some(())
    })
    .await;
    world.tell_product(late, "publish").await.expect_problem(409, "product.archived");
    assert!(world.claim_of("T-1").await.claim.stands_for(ID.parse().unwrap()));
}
