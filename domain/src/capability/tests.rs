use super::*;
use crate::{
    StreamType,
    money::{Currency, Money},
    product::{self, Details},
    stock,
};

#[test]
fn a_release_knows_what_its_own_commands_need() {
    let receive = stock::Command::Receive { quantity: 1, reference: Some("a".to_owned()) };
    let receive = Command::Stock(receive);
    let fields = ["Stock.Receive", "Stock.Receive.quantity", "Stock.Receive.reference"];
    assert_eq!(receive.needs(), fields.map(str::to_owned).into());
    assert!(capabilities().is_superset(&receive.needs()));
    for kind in StreamType::ALL {
        let Some(expire) = kind.expire() else { continue };
        assert!(!expire.needs().is_empty() && capabilities().is_superset(&expire.needs()));
    }
}

#[test]
fn fields_of_fields_are_known_wherever_they_stand() {
    for name in [
        "Product.Create.price.amount",
        "Product.Create.details.attributes",
        "Cart.Create.lines.quantity",
        "Cart.Create.lines.adjustments.reason",
        "Cart.CheckOut.terms.shipping_address.postal_code",
        "Cart.CheckOut.terms.listings.product_id",
        "ApiKey.Issue.roles.staff",
    ] {
        assert!(capabilities().contains(name), "{name}: {:#?}", capabilities());
    }
}

#[test]
fn whoever_does_not_know_a_field_of_a_field_cannot_carry_out_what_has_it() {
    let (sku, price) = ("A".parse().unwrap(), Money::new(9, Currency::EUR));
    let attribute = serde_json::from_value(serde_json::json!("large")).unwrap();
    let attributes = [("amount".to_owned(), attribute)].into();
    let details = Details { attributes, ..Details::default() };
    let create = product::Command::Create { sku, details, price, sku_taken: false };
    let needs = Command::Product(create).needs();
    assert!(capabilities().is_superset(&needs), "{needs:?}");
    let mut fewer = Capabilities::clone(capabilities());
    assert!(fewer.remove("Product.Create.price.currency"));
    assert!(!fewer.is_superset(&needs), "{needs:?}");
    // What a map holds has names of its own, which nobody must know.
    assert!(!needs.contains("Product.Create.details.attributes.amount"));
}

#[test]
fn all_aggregates_have_commands() {
    struct Check;
    impl AggregateVisitor for Check {
        fn visit<A: Listed>(&mut self, variant: &'static str) {
            let begins = |name: &&String| name.starts_with(&format!("{variant}."));
            let count = capabilities().iter().filter(begins).count();
            assert!(count > 1, "{variant}: {:?}", capabilities());
        }
    }
    visit_all(&mut Check);
}
