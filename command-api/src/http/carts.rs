//! Carts and their checkout.
//!
//! Anyone may have a cart: a guest gets its token with the answer that creates it, and must send
//! it back from then on. Staff may touch any cart. To everybody else a cart is not there.
//!
//! A cart knows no catalogue: whatever a line needs of it is looked up here, as it is now, and a
//! SKU that is not for sale is for the cart itself to refuse.

mod body;
mod checkout;

use axum::{extract::State, http::StatusCode, response::Response};
use domain::{
    cart::{self, Cart, NewLine},
    id::{CartId, Sku},
    sku::{Listing, SkuClaim},
};
use infra::{
    auth::{Caller, OpenCart, cart_token},
    http::{
        extract::{Id, Path},
        problem::Problem,
        shapes,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Accepted, Reply, rejection},
    incoming::{Incoming, Origin},
    shapes::{Empty, into_adjustments},
    state::{AppState, unread},
};
use body::{AllLines, LineBody, LineChange, NewCart};

use crate::engine::{Found, Outcome};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(add_line, replace_lines))
        .routes(routes!(change_line, remove_line))
        .routes(routes!(checkout::check_out))
}

#[derive(Serialize, ToSchema)]
struct CartCreated {
    #[serde(flatten)]
    accepted: Accepted,
    /// For guests: send it back as `Tradewind-Cart-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cart_token: Option<String>,
}

/// Which line of a cart.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct Line {
    #[param(inline, value_type = shapes::Sku)]
    sku: Sku,
}

/// Create a cart
#[utoipa::path(
    post, path = "/v1/carts", operation_id = "create_cart",
    tag = "carts", security((), ("api_key" = [])),
    params(Incoming<NewCart>), request_body = NewCart,
    responses((status = 201, description = "Created", body = CartCreated)),
)]
async fn create(
    State(app): State<AppState>,
    Incoming { origin, body }: Incoming<NewCart>,
) -> Result<Response, Problem> {
    check_key(&origin)?;
    let id = body.id.unwrap_or_else(|| CartId::new(origin.new_id("cart")));
    let staff = origin.is_staff();
    let lines = look_up(&app, body.lines.into_vec()).await?;
    let command = cart::Command::Create { currency: body.currency, staff, lines };
    let answer = origin.submit::<Cart>(&app, &id, command).await?;
    let reply = Reply::of(&id.stream(), &answer)?.created(format!("/v1/carts/{id}"));
    let cart_token = match answer.outcome {
        _ if staff => None,
        // It was there already, so it may be another guest's.
        Outcome::Unchanged { .. } | Outcome::Rejected { .. } => {
            return Err(rejection(&cart::Rejection::Exists));
        }
        Outcome::Committed { .. } => Some(cart_token(&app.cart_token_secret, id)),
    };
    Ok(reply.with(|accepted| CartCreated { accepted, cart_token }))
}

/// A guest who holds no cart yet is known by the idempotency key alone: a request with the same key
/// gets the cart's token again. So it must be a key that nobody can guess.
fn check_key(origin: &Origin) -> Result<(), Problem> {
    let nobody = matches!(origin.caller, Caller::Anonymous { cart: None, .. });
    if !nobody || origin.key_is_unguessable {
        return Ok(());
    }
    let detail = "without a cart token the Idempotency-Key must be a random UUID (version 4 or 7)";
    Err(Problem::rejected(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_guessable", detail))
}

/// Add a line
///
/// The quantity is added to that of a line of the same SKU.
#[utoipa::path(
    post, path = "/v1/carts/{id}/lines", operation_id = "add_cart_line",
    tag = "carts", security((), ("api_key" = [])),
    params(Id<CartId>, OpenCart, Incoming<LineBody>), request_body = LineBody,
    responses((status = 200, description = "Added", body = Accepted)),
)]
async fn add_line(
    State(app): State<AppState>,
    Id(id): Id<CartId>,
    Incoming { origin, body }: Incoming<LineBody>,
) -> Result<Reply, Problem> {
    admit(&origin, id)?;
    let line = look_up(&app, [body]).await?.pop().ok_or_else(not_there)?;
    origin.reply::<Cart>(&app, &id, cart::Command::AddLine { line }).await
}

/// Replace all lines
#[utoipa::path(
    put, path = "/v1/carts/{id}/lines", operation_id = "replace_cart_lines",
    tag = "carts", security((), ("api_key" = [])),
    params(Id<CartId>, OpenCart, Incoming<AllLines>), request_body = AllLines,
    responses((status = 200, description = "Replaced", body = Accepted)),
)]
async fn replace_lines(
    State(app): State<AppState>,
    Id(id): Id<CartId>,
    Incoming { origin, body }: Incoming<AllLines>,
) -> Result<Reply, Problem> {
    admit(&origin, id)?;
    let lines = look_up(&app, body.lines.into_vec()).await?;
    origin.reply::<Cart>(&app, &id, cart::Command::ReplaceLines { lines }).await
}

/// Change a line
#[utoipa::path(
    patch, path = "/v1/carts/{id}/lines/{sku}", operation_id = "change_cart_line",
    tag = "carts", security((), ("api_key" = [])),
    params(Id<CartId>, Line, OpenCart, Incoming<LineChange>),
    request_body = LineChange,
    responses((status = 200, description = "Changed", body = Accepted)),
)]
async fn change_line(
    State(app): State<AppState>,
    Id(id): Id<CartId>,
    Path(Line { sku }): Path<Line>,
    Incoming { origin, body }: Incoming<LineChange>,
) -> Result<Reply, Problem> {
    admit(&origin, id)?;
    let LineChange { quantity, adjustments } = body;
    let (quantity, adjustments) = (quantity.get(), adjustments.map(into_adjustments));
    origin.reply::<Cart>(&app, &id, cart::Command::ChangeLine { sku, quantity, adjustments }).await
}

/// Remove a line
#[utoipa::path(
    delete, path = "/v1/carts/{id}/lines/{sku}", operation_id = "remove_cart_line",
    tag = "carts", security((), ("api_key" = [])),
    params(Id<CartId>, Line, OpenCart, Incoming<Empty>),
    responses((status = 200, description = "Removed", body = Accepted)),
)]
async fn remove_line(
    State(app): State<AppState>,
    Id(id): Id<CartId>,
    Path(Line { sku }): Path<Line>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Reply, Problem> {
    admit(&origin, id)?;
    origin.reply::<Cart>(&app, &id, cart::Command::RemoveLine { sku }).await
}

/// Lets staff in, and whoever holds the cart's token.
fn admit(origin: &Origin, id: CartId) -> Result<(), Problem> {
    if origin.open_cart == Some(id) || origin.is_staff() { Ok(()) } else { Err(not_there()) }
}

/// The words of the cart's own answer, so that a foreign cart looks like none.
fn not_there() -> Problem {
    rejection(&cart::Rejection::NotFound)
}

async fn look_up(
    app: &AppState,
    lines: impl IntoIterator<Item = LineBody>,
) -> Result<Vec<NewLine>, Problem> {
    let lines: Vec<LineBody> = lines.into_iter().collect();
    let found = app.read_many(lines.iter().map(|line| line.sku.stream()).collect()).await?;
    let with_listing = |LineBody { sku, quantity, adjustments }| {
        let listing = listing(&found, &sku)?;
        let (quantity, adjustments) = (quantity.get(), into_adjustments(adjustments));
        Ok(NewLine { sku, quantity, adjustments, listing })
    };
    lines.into_iter().map(with_listing).collect()
}

/// What is for sale now under this code, as it was found.
fn listing(found: &Found, sku: &Sku) -> Result<Option<Listing>, Problem> {
    let claim = found.get::<SkuClaim>(sku).map_err(unread)?.state;
    Ok(claim.listing.clone())
}
