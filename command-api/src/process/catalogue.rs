//! Keeps what carts may copy of a product in step with the product.
//!
//! Handlers list a product before they answer; this finds what they left undone when they died
//! between the two steps. A SKU ignores what it knows already, so both may come in any order.

use domain::{
    Command,
    id::{ProductId, Sku},
    product::{Product, Status},
    sku::{self, SkuClaim},
};

use super::plan::{Plan, Step};

/// What the SKU of a product must be told about the product as it is at `revision`; nothing while
/// it is a draft, for then nobody has been told of it.
pub(crate) fn listing(
    product_id: ProductId,
    product: &Product,
    revision: u64,
) -> Option<(Sku, sku::Command)> {
    let entry = product.entry.as_ref().filter(|_| product.status != Status::Draft)?;
    let command = match product.listing(product_id, revision) {
        Some(listing) => sku::Command::List { listing },
        None => sku::Command::Delist { product_id, product_revision: revision },
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
    if claim.product_revision >= revision {
        return Plan::default();
    }
    let step = listing(product_id, product, revision)
        .map(|(sku, command)| Step::submit("list", sku.stream(), Command::Sku(command)));
    Plan::of(step.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use domain::{
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
    fn what_is_off_sale_is_delisted() {
        for status in [Status::Unpublished, Status::Archived] {
            let (_, command) = listing(ID, &product(status), 3).unwrap();
            assert_eq!(command, sku::Command::Delist { product_id: ID, product_revision: 3 });
        }
    }

    #[test]
    fn only_what_the_sku_does_not_know_is_told() {
        let claim = |product_revision| SkuClaim { product_revision, ..SkuClaim::default() };
        let product = product(Status::Published);
        assert_eq!(react(ID, &product, 2, &claim(2)), Plan::default());
        assert_eq!(react(ID, &product, 2, &claim(1)).steps.len(), 1);
    }
}
