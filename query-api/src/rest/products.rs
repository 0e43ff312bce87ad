//! `GET /v1/products…`: published products for anyone, all of them for staff.

use axum::{extract::State, response::Response};
use domain::{
    api_key::Role,
    id::{ProductId, Sku},
};
use infra::{
    freshness::Projection,
    http::{
        extract::{Path, Query},
        fields::{Fields, Validate},
        page::{ListingBody, Page},
        problem::Problem,
    },
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    AppState, answer,
    asked::{Asked, EntityHeaders, NoParameters, ReadHeaders},
};
use crate::{
    projections::{PRODUCTS, STOCK},
    read_model::{FoundProduct, Product, ProductAfter, ProductFilter, ProductSort},
};

const READS: &[Projection] = &[PRODUCTS];
/// Whether something is in stock is another projection's to say.
const READS_WITH_STOCK: &[Projection] = &[PRODUCTS, STOCK];

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    department: Option<String>,
    category: Option<String>,
    brand: Option<String>,
    /// In minor units of each product's own currency, included.
    #[param(minimum = 0)]
    min_price: Option<i64>,
    /// In minor units of each product's own currency, included.
    #[param(minimum = 0)]
    max_price: Option<i64>,
    /// True: only what can be sold now; false: only what cannot.
    in_stock: Option<bool>,
    /// `newest` by default.
    #[serde(default)]
    #[param(inline, required = false)]
    sort: ProductSort,
    /// Products of one page: 1 to 200, 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    #[expect(dead_code, reason = "`Page` reads it")]
    limit: Option<String>,
    /// The `next` of the page before.
    #[expect(dead_code, reason = "`Page` reads it")]
    cursor: Option<String>,
}

impl Validate for ListParameters {
    fn validate(&self, fields: &mut Fields) {
        let bounds = [("/min_price", self.min_price), ("/max_price", self.max_price)];
        for (pointer, bound) in bounds {
            fields.range(pointer, bound.unwrap_or_default(), 0..=i64::MAX);
        }
        if let (Some(min), Some(max)) = (self.min_price, self.max_price) {
            fields.check("/max_price", "out_of_range", min <= max, "must not be below `min_price`");
        }
    }
}

/// The catalogue in pages
///
/// The public sees published products, staff see all.
#[utoipa::path(
    get,
    operation_id = "list_products",
    path = "/v1/products",
    tag = "catalogue",
    params(ListParameters, ReadHeaders),
    responses((status = OK, body = ListingBody<Product>, headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`"),
        ("Tradewind-Position" = String, description = "What the answer reflects"),
    ))),
    security((), ("api_key" = [])),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Query(parameters): Query<ListParameters>,
    page: Page,
    asked: Asked,
) -> Result<Response, Problem> {
    let sort = parameters.sort;
    let after: Option<ProductAfter> = page.after()?;
    if after.as_ref().is_some_and(|after| after.sort() != sort) {
        return Err(Problem::bad_request("invalid_cursor", "the cursor is of another `sort`"));
    }
    let reads = if parameters.in_stock.is_some() { READS_WITH_STOCK } else { READS };
    let filter = parameters.filter(!asked.caller.has(Role::Staff));
    let position = app.reach(reads, &asked).await?;
    let rows_max = i64::from(page.limit()) + 1;
    let products = app.read_model().products(&filter, sort, after.as_ref(), rows_max).await?;
    Ok(answer::list(page.listing(products, |last| sort.after(last)), &position))
}

impl ListParameters {
    fn filter(self, published_only: bool) -> ProductFilter {
        let Self { department, category, brand, min_price, max_price, in_stock, .. } = self;
        ProductFilter {
            published_only,
            department,
            category,
            brand,
            min_price,
            max_price,
            in_stock,
        }
    }
}

/// One product
#[utoipa::path(
    get,
    operation_id = "get_product",
    path = "/v1/products/{id}",
    tag = "catalogue",
    params(("id" = Uuid, Path), ReadHeaders, EntityHeaders),
    responses(
        (status = OK, body = Product, headers(
            ("ETag" = String, description = "Revision of the product"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn by_id(
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
    Query(NoParameters {}): Query<NoParameters>,
    asked: Asked,
) -> Result<Response, Problem> {
    let position = app.reach(READS, &asked).await?;
    let product = app.read_model().product(id).await?;
    let product = visible(product, &asked)?;
    Ok(answer::entity(product.entity, &position, &asked.known))
}

/// The product that bears a SKU
#[utoipa::path(
    get,
    operation_id = "get_product_by_sku",
    path = "/v1/products/by-sku/{sku}",
    tag = "catalogue",
    params(("sku" = String, Path), ReadHeaders, EntityHeaders),
    responses(
        (status = OK, body = Product, headers(
            ("ETag" = String, description = "Revision of the product"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn by_sku(
    State(app): State<AppState>,
    Path(sku): Path<Sku>,
    Query(NoParameters {}): Query<NoParameters>,
    asked: Asked,
) -> Result<Response, Problem> {
    let position = app.reach(READS, &asked).await?;
    let product = app.read_model().product_by_sku(sku).await?;
    let product = visible(product, &asked)?;
    Ok(answer::entity(product.entity, &position, &asked.known))
}

fn visible(found: Option<FoundProduct>, asked: &Asked) -> Result<FoundProduct, Problem> {
    found
        .filter(|product| product.is_published || asked.caller.has(Role::Staff))
        .ok_or_else(|| Problem::not_found("there is no such product"))
}
