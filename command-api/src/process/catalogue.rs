//! Keeps the code of a product, and what carts may copy of it, in step with the product.
//!
//! A handler claims the code for a product that it is about to create; the rest is done here. A SKU ignores
//! what it knows already, so events may come in any order. A claim lapses if its product is not listed
//! within a minute; then it is confirmed if the product is there, or else freed.
//!
//! A product whose code has gone to another one while nobody could confirm it is archived, with
//! that reason: no product is there without its code.

use std::sync::Arc;

use domain::{
    Event, StreamType,
    aggregate::Refusal,
    envelope::{Recorded, Revision},
    id::{ProductId, Sku, StreamId},
    product::{self, Product, Status},
    sku::{self, SkuClaim},
};

use super::{
    manager::{Managers, ProcessManager},
    plan::{Failed, Outcome, Step},
};
use crate::engine::Consistency;

/// Why a product is archived that nobody archived.
const SKU_LOST: &str = "another product has its SKU";

type Plan = super::plan::Plan<Next>;

/// The process.
pub(super) struct CatalogueProcess;

/// What it reads before it reacts to an event.
pub(super) enum Loaded {
    /// A product and the claim of its code.
    Product(Arc<Product>, Revision, Arc<SkuClaim>),
    /// The product of a claim that has lapsed. One that does not stand in the log by now did not come
    /// about in time.
    Lapsed(ProductId, Arc<Product>),
    Nothing,
}

impl ProcessManager for CatalogueProcess {
    const NAME: &'static str = "catalogue";

    type Loaded = Loaded;
    type Next = Next;

    fn wants(kind: StreamType, event: &str) -> bool {
        match kind {
            StreamType::Product => true,
            StreamType::Sku => event == "lapsed",
            _ => false,
        }
    }

    async fn load(managers: &Managers, event: &Recorded) -> Result<Loaded, Failed> {
        match &event.event {
            Event::Product(_) => {
                let product = managers.read::<Product>(&event.stream, event.revision).await?;
                let Some(entry) = &product.state.entry else { return Ok(Loaded::Nothing) };
                let claim = managers.read::<SkuClaim>(&entry.sku.stream(), 0).await?.state;
                Ok(Loaded::Product(product.state, product.revision, claim))
            }
            Event::Sku(sku::Event::Lapsed { product_id }) => {
                let stream = StreamId::of::<Product>(product_id);
                let product = managers.read_as(&stream, 0, Consistency::Linearizable).await?.state;
                Ok(Loaded::Lapsed(*product_id, product))
            }
            _ => Ok(Loaded::Nothing),
        }
    }

    fn react(event: &Recorded, loaded: Loaded) -> Plan {
        let key = event.stream.key();
        match loaded {
            Loaded::Product(product, revision, claim) => {
                let Ok(product_id) = key.parse() else { return Plan::default() };
                react(product_id, &product, revision, &claim)
            }
            Loaded::Lapsed(product_id, product) => {
                let Ok(sku) = key.parse() else { return Plan::default() };
                look_after(product_id, &sku, &product)
            }
            Loaded::Nothing => Plan::default(),
        }
    }

    fn takes(next: &Next, _: &str) -> bool {
        *next != Next::Nothing
    }

    fn proceed(next: Next, outcomes: &[Outcome]) -> Plan {
        proceed(next, outcomes)
    }
}

/// What the outcomes of a plan's steps are for.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Next {
    #[default]
    Nothing,
    /// The code was confirmed; then this command goes to it.
    Tell { product_id: ProductId, sku: Sku, command: Option<sku::Command>, revision: u64 },
    /// The code has had the command about the product.
    Keep { product_id: ProductId },
}

/// What the SKU of a product must be told about the product as it is at `revision`; nothing while
/// it is a draft, for then nobody has been told of it.
fn listing(product_id: ProductId, product: &Product, revision: u64) -> Option<(Sku, sku::Command)> {
    let entry = product.entry.as_ref()?;
    let command = match (product.status, product.listing(product_id, revision)) {
        (Status::Draft, _) => return None,
        (Status::Archived, _) => sku::Command::Release { product_id },
        (Status::Published, Some(listing)) => sku::Command::List { listing },
        (Status::Published | Status::Unpublished, _) => {
            sku::Command::Delist { product_id, product_revision: revision }
        }
    };
    Some((entry.sku.clone(), command))
}

/// What is left to do about a product.
pub(super) fn react(
    product_id: ProductId,
    product: &Product,
    revision: u64,
    claim: &SkuClaim,
) -> Plan {
    let Some(entry) = &product.entry else { return Plan::default() };
    let owner = claim.claim.owner();
    let told = listing(product_id, product, revision).map(|(_, command)| command);
    if product.status == Status::Archived {
        let left = told.filter(|_| owner == Some(product_id));
        return Plan::of(left.into_iter().map(|it| tell("release", &entry.sku, it)).collect());
    }
    let sku = entry.sku.clone();
    if !claim.claim.stands_for(product_id) {
        let confirm = tell("confirm", &sku, sku::Command::Confirm { product_id });
        return next(vec![confirm], Next::Tell { product_id, sku, command: told, revision });
    }
    match told {
        Some(command) if claim.product_revision < revision => {
            next(vec![list(revision, &sku, command)], Next::Keep { product_id })
        }
        Some(_) | None => Plan::default(),
    }
}

/// What becomes of a claim that has lapsed; `product` as it is now, not as it was.
pub(super) fn look_after(product_id: ProductId, sku: &Sku, product: &Product) -> Plan {
    let is_there = product.status != Status::Archived
        && product.entry.as_ref().is_some_and(|entry| entry.sku == *sku);
    if is_there {
        let confirm = tell("confirm", sku, sku::Command::Confirm { product_id });
        return next(vec![confirm], Next::Keep { product_id });
    }
    Plan::of(vec![tell("withdraw", sku, sku::Command::Withdraw { product_id })])
}

/// What the outcomes of a plan's steps lead to.
pub(super) fn proceed(after: Next, outcomes: &[Outcome]) -> Plan {
    let (Next::Tell { product_id, .. } | Next::Keep { product_id }) = after else {
        return Plan::default();
    };
    if let [Outcome::Refused { code, .. }] = outcomes {
        // An operator may have skipped the step, which says nothing about the code.
        if ![sku::Rejection::Taken, sku::Rejection::NotFound].iter().any(|it| it.code() == code) {
            return Plan::default();
        }
        let command = product::Command::Forfeit { reason: SKU_LOST.to_owned() };
        return Plan::of(vec![Step::submit::<Product>("forfeit", &product_id, command)]);
    }
    match after {
        Next::Tell { product_id, sku, command: Some(command), revision } => {
            next(vec![list(revision, &sku, command)], Next::Keep { product_id })
        }
        Next::Tell { .. } | Next::Keep { .. } | Next::Nothing => Plan::default(),
    }
}

fn tell(name: &str, sku: &Sku, command: sku::Command) -> Step {
    Step::submit::<SkuClaim>(name, sku, command)
}

/// What is told depends on the revision that was read, so it is part of the step's name.
fn list(revision: u64, sku: &Sku, command: sku::Command) -> Step {
    tell(&format!("list {revision}"), sku, command)
}

fn next(steps: Vec<Step>, next: Next) -> Plan {
    Plan::of(steps).then(next)
}

#[cfg(test)]
mod tests {
    use domain::{
        claim::Standing,
        money::{Currency, Money},
        product::{Details, Entry},
    };
    use uuid::Uuid;

    use super::*;

    const ID: ProductId = ProductId::new(Uuid::nil());

    fn product(status: Status) -> Product {
        let details = Details { name: "Tea".to_owned(), ..Details::default() };
        let price = Money::new(250, Currency::EUR);
        Product { entry: Some(Entry { sku: "T-1".parse().unwrap(), details, price }), status }
    }

    #[test]
    fn a_draft_is_nobodys_business() {
        assert_eq!(listing(ID, &product(Status::Draft), 1), None);
        assert_eq!(listing(ID, &Product::default(), 0), None);
    }

    #[test]
    fn a_published_product_is_listed_at_its_price() {
        let (sku, command) = listing(ID, &product(Status::Published), 2).unwrap();
        assert_eq!(sku.as_str(), "T-1");
        let sku::Command::List { listing } = command else { panic!("{command:?}") };
        assert_eq!((listing.price.amount, listing.product_revision), (250, 2));
    }

    #[test]
    fn what_is_off_sale_is_delisted_and_what_is_archived_gives_its_code_back() {
        let (_, command) = listing(ID, &product(Status::Unpublished), 3).unwrap();
        assert_eq!(command, sku::Command::Delist { product_id: ID, product_revision: 3 });
        let (_, command) = listing(ID, &product(Status::Archived), 3).unwrap();
        assert_eq!(command, sku::Command::Release { product_id: ID });
    }

    const OTHER: ProductId = ProductId::new(Uuid::max());

    fn held(owner: ProductId, product_revision: u64) -> SkuClaim {
        SkuClaim { claim: Standing::Held { owner }.into(), product_revision, listing: None }
    }

    fn reserved(owner: ProductId) -> SkuClaim {
        let expires_at = domain::timestamp::Timestamp::default();
        SkuClaim { claim: Standing::Reserved { owner, expires_at }.into(), ..SkuClaim::default() }
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().map(|step| step.name.as_str()).collect()
    }

    #[track_caller]
    fn check(status: Status, claim: &SkuClaim, expected: &[&str]) {
        assert_eq!(names(&react(ID, &product(status), 2, claim)), expected, "{status:?} {claim:?}");
    }

    #[test]
    fn only_what_the_sku_does_not_know_is_told() {
        check(Status::Published, &held(ID, 2), &[]);
        check(Status::Published, &held(ID, 1), &["list 2"]);
        check(Status::Draft, &held(ID, 0), &[]);
    }

    fn lapsed(owner: ProductId) -> SkuClaim {
        SkuClaim { claim: Standing::Lapsed { owner }.into(), ..SkuClaim::default() }
    }

    #[test]
    fn a_product_that_is_listed_needs_no_other_confirmation() {
        check(Status::Draft, &reserved(ID), &[]);
        check(Status::Published, &reserved(ID), &["list 2"]);
    }

    #[test]
    fn a_product_whose_code_is_not_its_own_confirms_it_and_then_lists() {
        for claim in [SkuClaim::default(), lapsed(ID), reserved(OTHER), held(OTHER, 5)] {
            check(Status::Draft, &claim, &["confirm"]);
        }
        let plan = react(ID, &product(Status::Published), 2, &lapsed(ID));
        let plan = proceed(plan.next, &[Outcome::Done]);
        assert_eq!(names(&plan), ["list 2"]);
    }

    #[test]
    fn a_product_that_lost_its_code_is_archived() {
        let refused = Outcome::Refused { code: "sku.taken".into(), detail: String::new() };
        for status in [Status::Draft, Status::Published] {
            let plan = react(ID, &product(status), 2, &held(OTHER, 5));
            assert_eq!(names(&proceed(plan.next, std::slice::from_ref(&refused))), ["forfeit"]);
        }
        let keep = Next::Keep { product_id: ID };
        assert_eq!(names(&proceed(keep, &[refused])), ["forfeit"]);
    }

    #[test]
    fn a_claim_that_lapses_is_its_products_or_nobodys() {
        let (sku, other): (Sku, Sku) = ("T-1".parse().unwrap(), "T-2".parse().unwrap());
        for status in [Status::Draft, Status::Published, Status::Unpublished] {
            assert_eq!(names(&look_after(ID, &sku, &product(status))), ["confirm"]);
        }
        for (sku, product) in [
            (&sku, Product::default()),
            (&sku, product(Status::Archived)),
            (&other, product(Status::Draft)),
        ] {
            assert_eq!(names(&look_after(ID, sku, &product)), ["withdraw"]);
        }
    }

    #[test]
    fn a_step_that_an_operator_skips_archives_nothing() {
        let skipped = Outcome::Refused { code: "step.skipped".into(), detail: String::new() };
        let keep = Next::Keep { product_id: ID };
        assert_eq!(proceed(keep, &[skipped]), Plan::default());
    }

    #[test]
    fn an_archived_product_gives_back_what_is_its_own() {
        for claim in [held(ID, 1), reserved(ID), lapsed(ID)] {
            check(Status::Archived, &claim, &["release"]);
        }
        for claim in [SkuClaim::default(), held(OTHER, 5)] {
            check(Status::Archived, &claim, &[]);
        }
    }
}
