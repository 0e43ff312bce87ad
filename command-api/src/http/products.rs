//! Products of the catalogue.
//!
//! Two streams take part: the product's own, and the `sku` whose code it claims, which tells carts
//! what it costs. The product's stream holds the answer under the Idempotency-Key; the steps on
//! the `sku` have ids derived from the command's, so a retry after a crash repeats nothing.
//!
//! A code is claimed here for a product that is about to be created, and given back if that is refused. All
//! else is the catalogue process' work, and a change is answered when that is done.

mod body;

use axum::extract::State;
use domain::{
    claim::{CONFIRM_WAIT, Taken},
    id::{ProductId, Sku},
    product::{self, Product},
    sku::{self, SkuClaim},
};
use infra::http::{extract::Id, problem::Problem};
use tokio::time::Instant;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Accepted, Reply, rejection},
    incoming::{Incoming, Origin},
    shapes::Empty,
    state::{AppState, problem, unfinished},
};
use body::{NewPrice, NewProduct, ProductPatch};

use crate::engine::{Outcome, SubmitError};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(update))
        .routes(routes!(change_price))
        .routes(routes!(publish))
        .routes(routes!(unpublish))
        .routes(routes!(archive))
}

/// Create a product
///
/// It is a draft until it is published. If it is not created, its SKU stays free.
#[utoipa::path(
    post, path = "/v1/products", operation_id = "create_product",
    tag = "products", security(("api_key" = ["staff"])),
    params(Incoming<NewProduct>), request_body = NewProduct,
    responses((status = 201, description = "Created", body = Accepted)),
)]
async fn create(
    State(app): State<AppState>,
    Incoming { origin, body }: Incoming<NewProduct>,
) -> Result<Reply, Problem> {
    let id = body.id.unwrap_or_else(|| ProductId::new(origin.new_id("product")));
    let stream = id.stream();
    let claims = is_first(&app, &origin, id).await?;
    // This request may give the code back if it has claimed it itself; if the claim was there before, it
    // may not, for another request for the same product relies on that claim.
    let (began, mut claimed_now, mut sku_taken) = (Instant::now(), false, false);
    if claims {
        let claim = sku::Command::Claim { product_id: id };
        let claimed = origin.submit_step::<SkuClaim>(&app, &stream, "claim", &body.sku, claim);
        let claimed = claimed.await.map_err(problem)?;
        claimed_now = matches!(claimed.outcome, Outcome::Committed { .. }) && !claimed.replayed;
        // The product's stream says no, so that the key has its answer there.
        sku_taken = matches!(claimed.outcome, Outcome::Rejected { .. });
    }
    let (sku, details, price) = body.into_parts();
    let command = product::Command::Create { sku: sku.clone(), details, price, sku_taken };
    // Then the claim cannot have lapsed by the answer, and its process will find the product.
    let is_fresh = claimed_now && origin.request.deadline < began + CONFIRM_WAIT / 2;
    let created = if is_fresh {
        origin.try_submit::<Product>(&app, &id, command).await
    } else {
        origin.submit_awaited::<Product>(&app, &id, command, Some(sku.stream())).await
    };
    if let Err(error) = created
        && error.is_final()
        && claimed_now
    {
        // So that others get the code before the claim lapses, which it does in any case.
        withdraw(&app, &origin, id, &sku).await.ok();
    }
    let answer = created.map_err(problem)?;
    match answer.outcome {
        // Of a replay, too: whether the code is the product's is not the first answer's to say alone.
        Outcome::Committed { .. } if !is_fresh => check_code(&app, id, &sku).await?,
        Outcome::Rejected { .. } if claimed_now => withdraw(&app, &origin, id, &sku).await?,
        Outcome::Committed { .. } | Outcome::Unchanged { .. } | Outcome::Rejected { .. } => {}
    }
    Ok(Reply::of(&stream, &answer)?.created(format!("/v1/products/{id}")))
}

/// The product exists, and the process has seen to it that it has its code.
///
/// # Errors
/// Among others, that the code has gone to another product. Then the process has archived this one.
async fn check_code(app: &AppState, id: ProductId, sku: &Sku) -> Result<(), Problem> {
    let read = app.read::<SkuClaim>(sku).await;
    // The product is there, whatever is in the way.
    let claim = read.map_err(|_unread| unfinished(SubmitError::Unknown))?.state;
    claim.claim.confirm(id).map(drop).map_err(|Taken| rejection(&sku::Rejection::Taken))
}

/// The product was not created by this request. If another one has created it with the same code,
/// the claim is that one's.
async fn withdraw(
    app: &AppState,
    origin: &Origin,
    product_id: ProductId,
    sku: &Sku,
) -> Result<(), Problem> {
    let product = app.read::<Product>(&product_id).await?.state;
    if product.entry.as_ref().is_some_and(|entry| entry.sku == *sku) {
        return Ok(());
    }
    let (main, command) = (product_id.stream(), sku::Command::Withdraw { product_id });
    let withdrawn = origin.submit_step::<SkuClaim>(app, &main, "withdraw", sku, command).await;
    withdrawn.map(drop).map_err(unfinished)
}

/// Whether the product is still to be created. Otherwise its stream alone has the answer, be it a
/// replay, a reused key or a conflict, and no code may be claimed on the way to it.
async fn is_first(app: &AppState, origin: &Origin, id: ProductId) -> Result<bool, Problem> {
    let revision = app.read::<Product>(&id).await?.revision;
    Ok(revision == 0 && origin.precondition.holds(revision))
}

/// Change what describes a product
#[utoipa::path(
    patch, path = "/v1/products/{id}", operation_id = "update_product",
    tag = "products", security(("api_key" = ["staff"])),
    params(Id<ProductId>, Incoming<ProductPatch>), request_body = ProductPatch,
    responses((status = 200, description = "Changed", body = Accepted)),
)]
async fn update(
    State(app): State<AppState>,
    Id(id): Id<ProductId>,
    Incoming { origin, body }: Incoming<ProductPatch>,
) -> Result<Reply, Problem> {
    change(&app, &origin, id, product::Command::Update { patch: body.into_patch() }).await
}

/// Change a product's price
#[utoipa::path(
    post, path = "/v1/products/{id}/price", operation_id = "change_product_price",
    tag = "products", security(("api_key" = ["staff"])),
    params(Id<ProductId>, Incoming<NewPrice>), request_body = NewPrice,
    responses((status = 200, description = "Changed", body = Accepted)),
)]
async fn change_price(
    State(app): State<AppState>,
    Id(id): Id<ProductId>,
    Incoming { origin, body }: Incoming<NewPrice>,
) -> Result<Reply, Problem> {
    let price = body.price.into_money();
    change(&app, &origin, id, product::Command::ChangePrice { price }).await
}

/// Publish a product
///
/// It can be sold as soon as this has answered.
#[utoipa::path(
    post, path = "/v1/products/{id}/publish", operation_id = "publish_product",
    tag = "products", security(("api_key" = ["staff"])),
    params(Id<ProductId>, Incoming<Empty>),
    responses((status = 200, description = "Published", body = Accepted)),
)]
async fn publish(
    State(app): State<AppState>,
    Id(id): Id<ProductId>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Reply, Problem> {
    change(&app, &origin, id, product::Command::Publish).await
}

/// Take a product off sale
#[utoipa::path(
    post, path = "/v1/products/{id}/unpublish", operation_id = "unpublish_product",
    tag = "products",
    security(("api_key" = ["staff"])), params(Id<ProductId>, Incoming<Empty>),
    responses((status = 200, description = "Unpublished", body = Accepted)),
)]
async fn unpublish(
    State(app): State<AppState>,
    Id(id): Id<ProductId>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Reply, Problem> {
    change(&app, &origin, id, product::Command::Unpublish).await
}

/// Take a product off sale for good
///
/// Its SKU is free for a new product then.
#[utoipa::path(
    post, path = "/v1/products/{id}/archive", operation_id = "archive_product",
    tag = "products", security(("api_key" = ["staff"])),
    params(Id<ProductId>, Incoming<Empty>),
    responses((status = 200, description = "Archived", body = Accepted)),
)]
async fn archive(
    State(app): State<AppState>,
    Id(id): Id<ProductId>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Reply, Problem> {
    change(&app, &origin, id, product::Command::Archive).await
}

/// Changes a product, and answers when carts copy it as it is then.
async fn change(
    app: &AppState,
    origin: &Origin,
    id: ProductId,
    command: product::Command,
) -> Result<Reply, Problem> {
    let changed = origin.submit_awaited::<Product>(app, &id, command, None).await;
    Reply::of(&id.stream(), &changed.map_err(problem)?)
}
