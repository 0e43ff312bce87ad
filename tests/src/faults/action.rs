//! What a client may ask of the shop.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// Of a checkout, `taken` says that another cart is checked out as this order, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(super) enum Action {
    CreateProduct { product: Uuid, sku: String },
    Publish { product: Uuid },
    Price { product: Uuid, amount: i64 },
    Receive { sku: String, quantity: u32 },
    Adjust { sku: String, delta: i64 },
    CreateCart { cart: Uuid, lines: Vec<(String, u32)> },
    CheckOut { cart: Uuid, order: Uuid, payment: Payment, taken: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Payment {
    Cash,
    Card,
    DeclinedCard,
    /// The provider does not answer before the payment's deadline.
    Hanging,
    /// The buyer has to act, and a webhook tells how it went.
    Challenged,
}

impl Action {
    /// The stream that the command goes to.
    pub(super) fn stream(&self) -> String {
        match self {
            Self::CreateProduct { product, .. }
            | Self::Publish { product }
            | Self::Price { product, .. } => format!("product/{product}"),
            Self::Receive { sku, .. } | Self::Adjust { sku, .. } => format!("stock/{sku}"),
            Self::CreateCart { cart, .. } | Self::CheckOut { cart, .. } => format!("cart/{cart}"),
        }
    }

    pub(super) fn path(&self) -> String {
        match self {
            Self::CreateProduct { .. } => "/v1/products".to_owned(),
            Self::Publish { product } => format!("/v1/products/{product}/publish"),
            Self::Price { product, .. } => format!("/v1/products/{product}/price"),
            Self::Receive { sku, .. } => format!("/v1/stock/{sku}/receive"),
            Self::Adjust { sku, .. } => format!("/v1/stock/{sku}/adjust"),
            Self::CreateCart { .. } => "/v1/carts".to_owned(),
            Self::CheckOut { cart, .. } => format!("/v1/carts/{cart}/checkout"),
        }
    }

    /// The same checkout as another order.
    pub(super) fn with_order(&self, order: Uuid) -> Option<Self> {
        let &Self::CheckOut { cart, payment, taken, .. } = self else { return None };
        Some(Self::CheckOut { cart, order, payment, taken })
    }

    pub(super) fn body(&self) -> Value {
        match self {
            Self::CreateProduct { product, sku } => json!({
                "id": product, "sku": sku, "name": sku, "department": department(sku),
                "price": money(450),
            }),
            Self::Publish { .. } => json!({}),
            Self::Price { amount, .. } => json!({"price": money(*amount)}),
            Self::Receive { quantity, .. } => json!({"quantity": quantity}),
            Self::Adjust { delta, .. } => json!({"delta": delta, "reason": "count"}),
            Self::CreateCart { cart, lines } => {
                let line =
                    |(sku, quantity): &(String, u32)| json!({"sku": sku, "quantity": quantity});
                let lines: Vec<Value> = lines.iter().map(line).collect();
                json!({"id": cart, "currency": "USD", "lines": lines})
            }
            Self::CheckOut { order, payment, .. } => payment.checkout(*order),
        }
    }

    /// What a sound system may answer.
    pub(super) fn allows(&self, status: u16, code: &str, is_conditional: bool) -> bool {
        match self {
            _ if status == 412 => is_conditional,
            Self::CreateProduct { .. } | Self::CreateCart { .. } => status == 201,
            Self::Publish { .. } | Self::Price { .. } | Self::Receive { .. } => status == 200,
            Self::Adjust { .. } => status == 200 || (status == 422 && code == "stock.insufficient"),
            // Each cart is checked out a second time, now and then.
            Self::CheckOut { taken, .. } => {
                status == 202
                    || (status == 409 && code == "cart.not_open")
                    || (status == 409 && code == "order.exists" && *taken)
            }
        }
    }
}

impl Payment {
    fn checkout(self, order: Uuid) -> Value {
        let token = match self {
            Self::Cash => "cash",
            Self::Card => "tok_ok",
            Self::DeclinedCard => "tok_declined",
            Self::Hanging => "tok_timeout",
            Self::Challenged => "tok_3ds",
        };
        let mut body = json!({
            "order_id": order, "accept_price_changes": true, "payment": {"method_token": token},
        });
        if self == Self::Cash {
            body["channel"] = "pos".into();
        } else {
            body["email"] = "ada@example.com".into();
            body["shipping_address"] = json!({
                "name": "Ada", "line1": "1 Main Street", "city": "Springfield",
                "postal_code": "62701", "country": "US",
            });
        }
        body
    }
}

/// A few, so that reports by department have something to add up.
fn department(sku: &str) -> &'static str {
    const DEPARTMENTS: [&str; 3] = ["DRINKS", "GROCERY", "DAIRY"];
    DEPARTMENTS[sku.len() % DEPARTMENTS.len()]
}

fn money(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}
