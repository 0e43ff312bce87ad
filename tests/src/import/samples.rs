//! Small made-up receipts for the tests of the import.

use domain::timestamp::Timestamp;

use super::{
    catalogue::Catalogue,
    cents::Cents,
    id::{BasketNumber, ProductNumber},
    table::{CatalogueRow, Sale},
};

pub(super) fn sale(basket: u64, product: u64, quantity: u32, cents: i64) -> Sale {
    Sale {
        household: basket + 100,
        basket: BasketNumber(basket),
        product: ProductNumber(product),
        quantity,
        value: Cents(cents),
        retail_discount: Cents(0),
        coupon_match: Cents(0),
        at: at("2017-01-02T10:00:00Z"),
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().expect("an RFC 3339 time")
}

pub(super) fn catalogue(products: &[(u64, &str)]) -> Catalogue {
    let row = |&(product, department): &(u64, &str)| CatalogueRow {
        product: ProductNumber(product),
        manufacturer: 1,
        department: department.into(),
        brand: "National".to_owned(),
        category: Some("BREAD".to_owned()),
        product_type: None,
        package_size: Some("22 LB".to_owned()),
    };
    products.iter().map(row).collect()
}
