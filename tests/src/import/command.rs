//! The commands of the import as lines of a batch. Each has ids and an Idempotency-Key that follow
//! from the data set, so sending it again changes nothing, within the life of its key or after it.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    basket::{Basket, Line},
    expectation::customer_reference,
    input::Need,
    number::{BasketNumber, CURRENCY, Cents, ProductNumber},
    table::Catalogue,
};

/// A command as its line, ready to be sent any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) idempotency_key: String,
    /// With the newline.
    pub(crate) line: String,
    pub(crate) if_there: IfThere,
}

/// The answer of a command whose work was done before, under a key that was forgotten since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfThere {
    /// Says so by itself: it is accepted, without an event.
    Unchanged,
    /// The entity exists, and has moved on since: a conflict of this code.
    Conflict(&'static str),
    /// The stream is not empty, which was the condition.
    PreconditionFailed,
}

/// A product of the catalogue, or of department `UNKNOWN`.
pub(crate) fn create_product(
    product: ProductNumber,
    need: &Need,
    catalogue: &Catalogue,
) -> Command {
    let row = catalogue.get(product);
    let category = row.and_then(|row| row.category.as_deref());
    let product_type = row.and_then(|row| row.product_type.as_deref());
    let fallback = format!("Product {product}");
    let mut attributes = json!({});
    if let Some(row) = row {
        attributes["manufacturer"] = row.manufacturer.to_string().into();
        if let Some(size) = &row.package_size {
            attributes["package_size"] = size.as_str().into();
        }
    }
    let mut body = json!({
        "id": product.product_id(),
        "sku": product.to_string(),
        "name": product_type.or(category).unwrap_or(&fallback),
        "department": catalogue.department(product).0,
        "attributes": attributes,
        "price": need.unit_price.money(),
    });
    let brand = row.map(|row| row.brand.as_str());
    let optional = [("category", category), ("product_type", product_type), ("brand", brand)];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    let line = json!({ "path": "/v1/products", "body": body });
    Command::new(product.idempotency_key("create"), IfThere::Conflict("product.exists"), line)
}

pub(crate) fn publish_product(product: ProductNumber) -> Command {
    let path = format!("/v1/products/{}/publish", product.product_id());
    let line = json!({ "path": path, "body": {} });
    Command::new(product.idempotency_key("publish"), IfThere::Unchanged, line)
}

/// Puts units on hand, on condition that there never was a stock of this SKU: a receipt is a
/// ledger entry, so nothing else would keep a later import from doubling it.
pub(crate) fn receive_stock(product: ProductNumber, quantity: u32) -> Command {
    let path = format!("/v1/stock/{product}/receive");
    let body = json!({ "quantity": quantity, "reference": "completejourney" });
    let line = json!({ "path": path, "if_match": "\"0\"", "body": body });
    Command::new(format!("seed-{product}-{quantity}"), IfThere::PreconditionFailed, line)
}

/// A staff cart with all the lines of a basket.
pub(crate) fn create_cart(
    basket: &Basket,
    price_of: impl Fn(ProductNumber) -> Option<Cents>,
) -> Result<Command> {
    let lines = basket
        .lines
        .iter()
        .map(|line| {
            let price = price_of(line.product);
            Ok(cart_line(line, price.with_context(|| format!("{} has no price", line.product))?))
        })
        .collect::<Result<Vec<Value>>>()?;
    let body = json!({ "id": basket.number.cart_id(), "currency": CURRENCY, "lines": lines });
    let (key, if_there) = (basket.number.idempotency_key("cart"), IfThere::Conflict("cart.exists"));
    Ok(Command::new(key, if_there, json!({ "path": "/v1/carts", "body": body })))
}

pub(crate) fn check_out(basket: &Basket) -> Command {
    let number: BasketNumber = basket.number;
    let body = json!({
        "order_id": number.order_id(),
        "channel": "pos",
        "occurred_at": basket.at,
        "customer_reference": customer_reference(basket.household),
        "payment": { "method_token": "cash" },
    });
    let path = format!("/v1/carts/{}/checkout", number.cart_id());
    let line = json!({ "path": path, "body": body });
    Command::new(number.idempotency_key("checkout"), IfThere::Unchanged, line)
}

/// Adjustments bring `quantity * unit price` to what was paid.
fn cart_line(line: &Line, unit_price: Cents) -> Value {
    let shelf = unit_price.0 * i64::from(line.quantity);
    let discounts = line.retail_discount.0 + line.coupon_match.0;
    let adjustments: Vec<Value> = [
        ("loyalty_discount", -line.retail_discount.0, "loyalty card"),
        ("coupon_match", -line.coupon_match.0, "share of the grocer in a coupon"),
        ("price_difference", line.value.0 + discounts - shelf, "price of the day, or by weight"),
    ]
    .into_iter()
    .filter(|(_, amount, _)| *amount != 0)
    .map(|(kind, amount, reason)| {
        json!({ "kind": kind, "amount": Cents(amount).money(), "reason": reason })
    })
    .collect();
    let mut body = json!({ "sku": line.product.to_string(), "quantity": line.quantity });
    if !adjustments.is_empty() {
        body["adjustments"] = adjustments.into();
    }
    body
}

impl Command {
    /// From its line, but for what all lines have.
    fn new(idempotency_key: String, if_there: IfThere, mut line: Value) -> Self {
        line["idempotency_key"] = idempotency_key.as_str().into();
        line["method"] = "POST".into();
        Self { idempotency_key, line: format!("{line}\n"), if_there }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::table::samples::{at, catalogue};

    fn body(command: &Command) -> Value {
        serde_json::from_str::<Value>(&command.line).unwrap()["body"].take()
    }

    #[track_caller]
    fn check_line(line: Line, unit_price: i64, adjustments: &[(&str, i64)]) {
        let value = cart_line(&line, Cents(unit_price));
        let list = value["adjustments"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = list
            .iter()
            .map(|a| (a["kind"].as_str().unwrap(), a["amount"]["amount"].as_i64().unwrap()))
            .collect();
        assert_eq!(found, adjustments);
        let sum: i64 = found.iter().map(|(_, amount)| amount).sum();
        assert_eq!(unit_price * i64::from(line.quantity) + sum, line.value.0);
    }

    #[test]
    fn adjustments_bring_a_line_to_what_was_paid() {
        let line = |quantity, value, retail: i64, coupon: i64| Line {
            product: ProductNumber(7),
            quantity,
            value: Cents(value),
            retail_discount: Cents(retail),
            coupon_match: Cents(coupon),
        };
        check_line(line(2, 300, 0, 0), 150, &[]);
        check_line(line(2, 250, 50, 0), 150, &[("loyalty_discount", -50)]);
        check_line(
            line(1, 90, 50, 10),
            160,
            &[("loyalty_discount", -50), ("coupon_match", -10), ("price_difference", -10)],
        );
        check_line(line(3, 250, 0, 0), 83, &[("price_difference", 1)]);
        check_line(line(1, 0, 0, 0), 99, &[("price_difference", -99)]);
        check_line(line(89_638, 25_000, 0, 0), 0, &[("price_difference", 25_000)]);
    }

    #[test]
    fn a_product_outside_the_catalogue_is_unknown() {
        let need = Need { unit_price: Cents(199), units_sold: 1 };
        let command = create_product(ProductNumber(8), &need, &catalogue(&[]));
        let body = body(&command);
        assert_eq!((&body["department"], &body["name"]), (&json!("UNKNOWN"), &json!("Product 8")));
        assert_eq!(body["price"], json!({ "amount": 199, "currency": "USD" }));
        assert_eq!(body.get("brand"), None);
    }

    #[test]
    fn a_product_of_the_catalogue_keeps_what_is_known_of_it() {
        let need = Need { unit_price: Cents(199), units_sold: 1 };
        let products = catalogue(&[(8, "GROCERY")]);
        let body = body(&create_product(ProductNumber(8), &need, &products));
        assert_eq!((&body["department"], &body["name"]), (&json!("GROCERY"), &json!("BREAD")));
        assert_eq!(body["attributes"], json!({ "manufacturer": "1", "package_size": "22 LB" }));
    }

    #[test]
    fn a_checkout_is_keyed_by_its_basket() {
        let at = at("2017-01-02T10:00:00Z");
        let basket = Basket { number: BasketNumber(5), household: 9, at, lines: Vec::new() };
        let command = check_out(&basket);
        assert_eq!(command.idempotency_key, "basket-5-checkout");
        let body = body(&command);
        assert_eq!(body["customer_reference"], "household-9");
        assert_eq!(body["occurred_at"], "2017-01-02T10:00:00.000000Z");
        assert_eq!(body["order_id"], json!(BasketNumber(5).order_id()));
    }
}
