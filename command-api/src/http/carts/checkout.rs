//! From a cart to an order: the answer names the order, which the checkout process then places.

use axum::{extract::State, response::Response};
use domain::{
    Command, State as Aggregate,
    cart::{self, Channel, Terms},
    id::{CartId, OrderId},
    timestamp::Timestamp,
};
use infra::http::{
    extract::Path,
    fields::{Fields, Validate},
    problem::Problem,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{CartHeaders, admit, listings};
use crate::{
    http::{
        answer::{Accepted, Reply},
        incoming::Incoming,
        shapes::{AddressBody, CommandHeaders, SHORT_CHARS_MAX, check_email},
        state::AppState,
    },
    process::checkout::payment_of,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkout {
    /// Needed on the web.
    email: Option<String>,
    /// Needed on the web.
    shipping_address: Option<AddressBody>,
    payment: PaymentBody,
    /// Made by the server if it is left out.
    order_id: Option<Uuid>,
    /// Take the prices as they are now, if they have changed since the lines were added.
    #[serde(default)]
    accept_price_changes: bool,
    /// `pos` is for carts made by staff.
    #[serde(default = "web")]
    #[schema(value_type = String, example = "web")]
    channel: Channel,
    /// When the sale took place; at the till only. Of the years 1 to 9999 in UTC, cut to microseconds.
    #[schema(value_type = Option<String>, format = DateTime)]
    occurred_at: Option<Timestamp>,
    /// Who bought, in the words of another system; for staff.
    customer_reference: Option<String>,
}

const fn web() -> Channel {
    Channel::Web
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CheckoutPayment)]
#[serde(deny_unknown_fields)]
struct PaymentBody {
    /// What the payment provider's form gave; `cash` at the till.
    #[schema(example = "tok_ok")]
    method_token: String,
}

impl Validate for Checkout {
    fn validate(&self, fields: &mut Fields) {
        if let Some(email) = &self.email {
            check_email(fields, "/email", email);
        }
        if let Some(address) = &self.shipping_address {
            address.check(fields, "/shipping_address");
        }
        if let Some(reference) = &self.customer_reference {
            fields.text("/customer_reference", reference, SHORT_CHARS_MAX);
        }
        fields.text("/payment/method_token", &self.payment.method_token, SHORT_CHARS_MAX);
    }
}

#[derive(Serialize, ToSchema)]
struct Order {
    order_id: Uuid,
    /// As webhooks of the payment provider name it.
    payment_id: Uuid,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `check_out` answers")]
struct CheckedOut {
    #[serde(flatten)]
    accepted: Accepted,
    #[schema(inline)]
    #[serde(flatten)]
    order: Order,
}

/// Check a cart out
///
/// The answer names the order. It is confirmed, or rejected with its reasons, shortly after.
/// Guests behind one address may have a bounded number of orders that are neither (2,000 unless
/// configured otherwise); more get 429 with `Retry-After`.
#[utoipa::path(
    post, path = "/v1/carts/{id}/checkout", operation_id = "check_out_cart",
    tag = "carts", security((), ("api_key" = [])),
    params(("id" = Uuid, Path), CartHeaders, CommandHeaders), request_body = Checkout,
    responses((status = 202, description = "Checked out", body = CheckedOut)),
)]
pub(super) async fn check_out(
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    Incoming { origin, body }: Incoming<Checkout>,
) -> Result<Response, Problem> {
    admit(&app, &origin, id)?;
    if body.customer_reference.is_some() && !origin.is_staff() {
        let detail = "is for staff only: leave it out";
        return Err(Problem::invalid_field("/customer_reference", "not_allowed", detail));
    }
    app.open_checkouts.admit(app.engine.get()?, &origin.caller).await?;
    let order_id = OrderId::new(body.order_id.unwrap_or_else(|| origin.new_id("order")));
    let terms = terms(&app, id, body).await?;
    let command = cart::Command::CheckOut { order_id, terms };
    let answer = origin.submit(&app, id.stream(), Command::Cart(command)).await?;
    let reply = Reply::of(&id.stream(), &answer)?.begun(format!("/v1/orders/{order_id}"));
    if !answer.replayed {
        app.open_checkouts.note(&origin.caller, order_id);
    }
    let payment_id = payment_of(order_id).uuid();
    Ok(reply.with(Order { order_id: order_id.uuid(), payment_id }))
}

/// The buyer's side, and what the cart's lines cost now.
async fn terms(app: &AppState, id: CartId, body: Checkout) -> Result<Terms, Problem> {
    let Aggregate::Cart(cart) = app.read(&id.stream()).await?.state else {
        return Err(Problem::internal("the stream of a cart holds something else"));
    };
    let skus = || cart.lines().iter().map(|line| &line.sku);
    let mut listed = listings(app, skus()).await?;
    let listings = skus().map(|sku| (sku.clone(), listed.remove(sku))).collect();
    Ok(Terms {
        channel: body.channel,
        occurred_at: body.occurred_at,
        method_token: body.payment.method_token,
        customer_reference: body.customer_reference,
        email: body.email,
        shipping_address: body.shipping_address.map(AddressBody::into_address),
        accept_price_changes: body.accept_price_changes,
        listings,
    })
}
