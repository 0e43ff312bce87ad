//! Products of the catalogue.
//!
//! Two streams take part: the product's own, and the `sku` that claims its code and tells carts
//! what it costs. The product's stream holds the answer under the Idempotency-Key; the steps on
//! the `sku` have ids derived from the command's, so a retry after a crash completes what is
//! missing and repeats nothing.

mod body;

use axum::response::IntoResponse;
use axum::{extract::State, response::Response};
use domain::{
    Command, State as Aggregate,
    id::ProductId,
    product::{self, Details, Patch},
    sku,
};
use infra::http::{extract::Path, problem::Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Accepted, Reply},
    incoming::{Incoming, Origin, Staff},
    shapes::{CommandHeaders, Empty},
    state::AppState,
};
use body::{NewPrice, NewProduct, ProductPatch};

use crate::{
    engine::{Answer, Outcome},
    process::catalogue,
};

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
/// It is a draft until it is published.
#[utoipa::path(
    post, path = "/v1/products", operation_id = "create_product",
    tag = "products", security(("api_key" = ["staff"])),
    params(CommandHeaders), request_body = NewProduct,
    responses((status = 201, description = "Created", body = Accepted)),
)]
async fn create(
    State(app): State<AppState>,
    _: Staff,
    Incoming { origin, body }: Incoming<NewProduct>,
) -> Result<Reply, Problem> {
    let id = ProductId::new(body.id.unwrap_or_else(|| origin.new_id("product")));
    let stream = id.stream();
    if is_first(&app, &origin, id).await? {
        let claim = Command::Sku(sku::Command::Claim { product_id: id });
        let claimed = origin.submit_step(&app, "claim", body.sku.stream(), claim).await?;
        if let Outcome::Rejected { .. } = claimed.outcome {
            return Reply::of(&stream, &claimed);
        }
    }
    let NewProduct { sku, name, description, department, category, product_type, brand, .. } = body;
    let attributes = body.attributes.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let details =
        Details { name, description, department, category, product_type, brand, attributes };
    let command = product::Command::Create { sku, details, price: body.price };
    let answer = origin.submit(&app, stream.clone(), Command::Product(command)).await?;
    Ok(Reply::of(&stream, &answer)?.created(format!("/v1/products/{id}")))
}

/// Whether the product is still to be created. Otherwise its stream alone has the answer, be it a
/// replay, a reused key or a conflict, and no code may be claimed on the way to it.
async fn is_first(app: &AppState, origin: &Origin, id: ProductId) -> Result<bool, Problem> {
    let revision = app.read(&id.stream()).await?.revision;
    Ok(revision == 0 && origin.expected_revision.is_none_or(|expected| expected == 0))
}

/// Change what describes a product
#[utoipa::path(
    patch, path = "/v1/products/{id}", operation_id = "update_product",
    tag = "products", security(("api_key" = ["staff"])),
    params(("id" = Uuid, Path), CommandHeaders), request_body = ProductPatch,
    responses((status = 200, description = "Changed", body = Accepted)),
)]
async fn update(
    State(app): State<AppState>,
    _: Staff,
    Path(id): Path<ProductId>,
    Incoming { origin, body }: Incoming<ProductPatch>,
) -> Result<Response, Problem> {
    let ProductPatch { name, description, department, category, product_type, brand, attributes } =
        body;
    // `null` removes an attribute, as does a value of it in a new product.
    let patch = Patch { name, description, department, category, product_type, brand, attributes };
    change(&app, &origin, id, product::Command::Update { patch }).await
}

/// Change a product's price
#[utoipa::path(
    post, path = "/v1/products/{id}/price", operation_id = "change_product_price",
    tag = "products", security(("api_key" = ["staff"])),
    params(("id" = Uuid, Path), CommandHeaders), request_body = NewPrice,
    responses((status = 200, description = "Changed", body = Accepted)),
)]
async fn change_price(
    State(app): State<AppState>,
    _: Staff,
    Path(id): Path<ProductId>,
    Incoming { origin, body }: Incoming<NewPrice>,
) -> Result<Response, Problem> {
    change(&app, &origin, id, product::Command::ChangePrice { price: body.price }).await
}

/// Publish a product
///
/// It can be sold as soon as this has answered.
#[utoipa::path(
    post, path = "/v1/products/{id}/publish", operation_id = "publish_product",
    tag = "products", security(("api_key" = ["staff"])),
    params(("id" = Uuid, Path), CommandHeaders),
    responses((status = 200, description = "Published", body = Accepted)),
)]
async fn publish(
    State(app): State<AppState>,
    _: Staff,
    Path(id): Path<ProductId>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Response, Problem> {
    change(&app, &origin, id, product::Command::Publish).await
}

/// Take a product off sale
#[utoipa::path(
    post, path = "/v1/products/{id}/unpublish", operation_id = "unpublish_product",
    tag = "products",
    security(("api_key" = ["staff"])), params(("id" = Uuid, Path), CommandHeaders),
    responses((status = 200, description = "Unpublished", body = Accepted)),
)]
async fn unpublish(
    State(app): State<AppState>,
    _: Staff,
    Path(id): Path<ProductId>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Response, Problem> {
    change(&app, &origin, id, product::Command::Unpublish).await
}

/// Take a product off sale for good
#[utoipa::path(
    post, path = "/v1/products/{id}/archive", operation_id = "archive_product",
    tag = "products", security(("api_key" = ["staff"])),
    params(("id" = Uuid, Path), CommandHeaders),
    responses((status = 200, description = "Archived", body = Accepted)),
)]
async fn archive(
    State(app): State<AppState>,
    _: Staff,
    Path(id): Path<ProductId>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Response, Problem> {
    change(&app, &origin, id, product::Command::Archive).await
}

/// Changes a product and then what carts may copy of it, before the answer.
async fn change(
    app: &AppState,
    origin: &Origin,
    id: ProductId,
    command: product::Command,
) -> Result<Response, Problem> {
    let stream = id.stream();
    let answer: Answer = origin.submit(app, stream.clone(), Command::Product(command)).await?;
    let reply = Reply::of(&stream, &answer)?;
    let snapshot = app.read(&stream).await?;
    if let Aggregate::Product(product) = &snapshot.state
        && let Some((sku, command)) = catalogue::listing(id, product, snapshot.revision)
    {
        origin.submit_step(app, "list", sku.stream(), Command::Sku(command)).await?;
    }
    Ok(reply.into_response())
}
