//! From a cart to an order: the answer names the order, which the checkout process has placed by then.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::{
    cart::{self, Cart, Channel, Terms},
    id::{CartId, OrderId, Sku},
    order::{self, Order},
    timestamp::Timestamp,
};
use infra::{
    auth::OpenCart,
    http::{
        extract::Id,
        fields::{Fields, Validate},
        problem::Problem,
        shapes,
        values::{Email, Text},
    },
    position::Position,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{admit, listing};
use crate::{
    engine::{Answer, Consistency, Outcome, SubmitError},
    http::{
        answer::{Accepted, Reply, rejection},
        incoming::{Incoming, Origin},
        shapes::{AddressBody, Short},
        state::{AppState, problem, unfinished, unread},
    },
    process::checkout::{payment_of, placement},
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkout {
    /// Needed on the web.
    email: Option<Email>,
    /// Needed on the web.
    shipping_address: Option<AddressBody>,
    payment: PaymentBody,
    /// For staff; it follows from the cart's id if it is left out.
    #[schema(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// Take the prices as they are now, if they have changed since the lines were added.
    #[serde(default)]
    accept_price_changes: bool,
    /// `pos` is for carts made by staff.
    #[serde(default = "web")]
    #[schema(value_type = shapes::Channel)]
    channel: Channel,
    /// When the sale took place; at the till only. Of the years 1 to 9999 in UTC, cut to microseconds.
    #[schema(value_type = Option<shapes::Instant>)]
    occurred_at: Option<Timestamp>,
    /// Who bought, in the words of another system; for staff.
    customer_reference: Option<Short>,
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
    method_token: Short,
}

impl Validate for Checkout {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/email", &self.email);
        fields.within("/shipping_address", &self.shipping_address);
        fields.value("/customer_reference", &self.customer_reference);
        fields.value("/payment/method_token", &self.payment.method_token);
    }
}

#[derive(Serialize, ToSchema)]
struct CheckedOut {
    #[serde(flatten)]
    accepted: Accepted,
    order_id: Uuid,
    /// As webhooks of the payment provider name it.
    payment_id: Uuid,
}

/// Check a cart out
///
/// The answer names the order, which is there by then. It is confirmed, or rejected with its reasons,
/// shortly after. Guests behind one address may have a bounded number of orders that are neither
/// (2,000 unless configured otherwise); more get 429 with `Retry-After`.
#[utoipa::path(
    post, path = "/v1/carts/{id}/checkout", operation_id = "check_out_cart",
    tag = "carts", security((), ("api_key" = [])),
    params(Id<CartId>, OpenCart, Incoming<Checkout>), request_body = Checkout,
    responses((status = 202, description = "Checked out", body = CheckedOut)),
)]
pub(super) async fn check_out(
    State(app): State<AppState>,
    Id(id): Id<CartId>,
    Incoming { origin, body }: Incoming<Checkout>,
) -> Result<Response, Problem> {
    admit(&origin, id)?;
    check_staffs_own(&origin, &body)?;
    // What was answered before opens nothing.
    if let Err(full) = app.open_checkouts.admit(app.engine.get()?, &origin.caller).await
        && !origin.is_replay(&app, &id.stream()).await?
    {
        return Err(full);
    }
    let order_id = body.order_id.unwrap_or_else(|| id.order_id());
    let terms = terms(&app, id, order_id, body).await?;
    let command = cart::Command::CheckOut { order_id, terms };
    let told = Some(order_id.stream());
    let answer = origin.submit_awaited::<Cart>(&app, &id, command, told).await;
    if may_have_opened(&answer) {
        app.open_checkouts.note(&origin.caller, order_id);
    }
    let answer = answer.map_err(problem)?;
    let reply = Reply::of(&id.stream(), &answer)?;
    let placed = placed(&app, &origin, id, order_id, &answer.outcome).await?;
    let reply = reply.begun(format!("/v1/orders/{order_id}")).reaching(&placed);
    let payment_id = payment_of(order_id).uuid();
    let order_id = order_id.uuid();
    Ok(reply.with(|accepted| CheckedOut { accepted, order_id, payment_id }))
}

/// Only staff may name the order: a guest who knew the id of a till's next order could take it.
fn check_staffs_own(origin: &Origin, body: &Checkout) -> Result<(), Problem> {
    let mut fields = Fields::default();
    for (at, given) in [
        ("/customer_reference", body.customer_reference.is_some()),
        ("/order_id", body.order_id.is_some()),
    ] {
        let detail = "is for staff only: leave it out";
        fields.check(at, "not_allowed", !given || origin.is_staff(), detail);
    }
    fields.finish()
}

/// What is not known counts: the order may be on its way.
fn may_have_opened(answer: &Result<Answer, SubmitError>) -> bool {
    match answer {
        Ok(answer) => !answer.replayed && matches!(answer.outcome, Outcome::Committed { .. }),
        Err(error) => *error == SubmitError::Unknown,
    }
}

/// Where the order is to be seen that the checkout process has placed by now.
async fn placed(
    app: &AppState,
    origin: &Origin,
    id: CartId,
    order_id: OrderId,
    outcome: &Outcome,
) -> Result<Position, Problem> {
    let read = app.read_from::<Cart>(&id, outcome.revision()).await;
    // Whatever is in the way: the cart is checked out.
    let cart = &*read.map_err(|_unread| unfinished(SubmitError::Unknown))?.state;
    let Some(checkout) = cart.checkout().filter(|_| cart.order_id == Some(order_id)) else {
        return Err(refused(cart, order_id));
    };
    let event_id = match outcome {
        Outcome::Committed { events: happened, .. } if let Some(event) = happened.last() => {
            event.id
        }
        // An earlier request has checked it out, under whatever key.
        _ => return seen(app, order_id).await,
    };
    let placement = placement(event_id, id, order_id, checkout);
    match app.submit(placement, origin.request.deadline).await {
        // This checkout was refused, and the cart has been checked out on other terms since.
        Err(SubmitError::KeyReused) => Err(refused(cart, order_id)),
        Err(error) => Err(unfinished(error)),
        Ok(placed) => Reply::of(&order_id.stream(), &placed).map(|_| placed.position),
    }
}

/// Where an order is to be seen, whenever it was placed.
async fn seen(app: &AppState, order_id: OrderId) -> Result<Position, Problem> {
    let shown = app.engine.get()?.show::<Order>(&order_id, Consistency::Serializable).await;
    let (order, at) = shown.map_err(|_unread| unfinished(SubmitError::Unknown))?;
    order.state.placed.is_some().then_some(at).ok_or_else(|| unfinished(SubmitError::Unknown))
}

/// The cart was checked out, but the order could not be placed, as the cart tells, too.
fn refused(cart: &Cart, order_id: OrderId) -> Problem {
    let refusal = cart.refusal.as_ref().filter(|refusal| refusal.order_id == order_id);
    refusal.map_or_else(
        || rejection(&order::Rejection::Exists),
        |refusal| {
            let (code, detail) = (refusal.code.clone(), refusal.detail.clone());
            Problem::rejected(StatusCode::CONFLICT, code, detail)
        },
    )
}

/// The buyer's side, and what the cart's lines cost now.
async fn terms(
    app: &AppState,
    id: CartId,
    order_id: OrderId,
    body: Checkout,
) -> Result<Terms, Problem> {
    // An id that follows from the cart's own is nobody else's.
    let chosen = body.order_id.map(OrderId::stream);
    // Each round through the log takes its time, so all is asked for in one: the lines that the cart
    // had a moment ago are mostly those that it has.
    let glanced = app.glance::<Cart>(&id).await;
    let lines_before = glanced.iter().flat_map(|glanced| skus_of(&glanced.state)).map(Sku::stream);
    let wanted = lines_before.chain(chosen.clone()).chain([id.stream()]);
    let found = app.read_many(wanted.collect()).await?;
    let order_exists = match chosen {
        Some(_) => {
            let order = found.get::<Order>(&order_id).map_err(unread)?.state;
            order.placed.as_ref().is_some_and(|placed| placed.cart_id != id)
        }
        None => false,
    };
    let cart = &*found.get::<Cart>(&id).map_err(unread)?.state;
    let added = skus_of(cart).map(Sku::stream).filter(|stream| !found.has(stream));
    let found = app.read_many(added.collect()).await?.and(found);
    let listings = skus_of(cart).map(|sku| Ok((sku.clone(), listing(&found, sku)?)));
    let listings = listings.collect::<Result<_, Problem>>()?;
    Ok(Terms {
        channel: body.channel,
        occurred_at: body.occurred_at,
        method_token: body.payment.method_token.into_string(),
        customer_reference: body.customer_reference.map(Text::into_string),
        email: body.email.map(Email::into_string),
        shipping_address: body.shipping_address.map(AddressBody::into_address),
        accept_price_changes: body.accept_price_changes,
        order_exists,
        listings,
    })
}

fn skus_of(cart: &Cart) -> impl Iterator<Item = &Sku> {
    cart.lines().iter().map(|line| &line.sku)
}
