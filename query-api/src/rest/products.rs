//! `GET /v1/products…`: published products for anyone, all of them for staff.

use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use domain::{
    StreamType,
    api_key::Role,
    id::{ProductId, StreamId},
};
use infra::{
    freshness::Projection,
    http::{
        extract::{Id, Path, Query},
        fields::{Fields, Validate},
        page::{Cursor, Limit, ListingBody, Page},
        problem::Problem,
        shapes,
        values::{Text, Whole, from_text},
    },
};
use read_models::{
    products::{HISTORY, PRODUCTS, Product},
    stock::STOCK,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    past::{AsOf, then},
    read::{AppState, OfSku, ReadOne, ReadPast, ReadRequest, answer},
    streams::READERS,
};
use crate::read_model::{FoundProduct, ProductAfter, ProductFilter, ProductSort};

const READS: &[Projection] = &[PRODUCTS.shown()];
/// Whether something is in stock is another projection's to say.
const READS_WITH_STOCK: &[Projection] = &[PRODUCTS.shown(), STOCK.shown()];

/// What products have in common. Theirs have 200 characters at most.
type Word = Text<200, 0>;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    #[param(inline)]
    department: Option<Word>,
    #[param(inline)]
    category: Option<Word>,
    #[param(inline)]
    brand: Option<Word>,
    /// In minor units of each product's own currency, included.
    #[serde(default, deserialize_with = "from_text")]
    #[param(inline)]
    min_price: Option<shapes::Natural>,
    /// In minor units of each product's own currency, included; not below `min_price`.
    #[serde(default, deserialize_with = "from_text")]
    #[param(inline)]
    max_price: Option<shapes::Natural>,
    /// True: only what can be sold now; false: only what cannot.
    in_stock: Option<bool>,
    /// `newest` by default.
    #[serde(default)]
    #[param(inline, required = false)]
    sort: ProductSort,
    /// Products of one page: 1 to 200, 50 by default.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next` of the page before.
    #[param(inline)]
    cursor: Option<Cursor>,
}

impl Validate for ListParameters {
    fn validate(&self, fields: &mut Fields) {
        let words = [&self.department, &self.category, &self.brand];
        for (pointer, word) in ["/department", "/category", "/brand"].into_iter().zip(words) {
            fields.value(pointer, word);
        }
        fields.value("/min_price", &self.min_price);
        fields.value("/max_price", &self.max_price);
        if let (Some(min), Some(max)) = (self.min_price, self.max_price) {
            let ordered = min.get() <= max.get();
            fields.check("/max_price", "out_of_range", ordered, "must not be below `min_price`");
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
    params(ListParameters, ReadRequest),
    responses((status = OK, body = ListingBody<Product>, headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`"),
        ("Tradewind-Position" = String, description = "What the answer reflects"),
    ))),
    security((), ("api_key" = [])),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Query(parameters): Query<ListParameters>,
    OriginalUri(uri): OriginalUri,
    request: ReadRequest,
) -> Result<Response, Problem> {
    let page = Page::new(uri, parameters.limit.as_ref(), parameters.cursor.as_ref())?;
    let sort = parameters.sort;
    let after: Option<ProductAfter> = page.after()?;
    if after.as_ref().is_some_and(|after| after.sort() != sort) {
        return Err(Problem::bad_request("invalid_cursor", "the cursor is of another `sort`"));
    }
    let reads = if parameters.in_stock.is_some() { READS_WITH_STOCK } else { READS };
    let filter = parameters.filter(!request.caller.has(Role::Staff));
    let position = app.reach(reads, &request).await?;
    let rows_max = i64::from(page.limit()) + 1;
    let products = app.read_model().products(&filter, sort, after.as_ref(), rows_max).await?;
    Ok(answer(page.listing(products, |last| sort.after(last)), &position))
}

impl ListParameters {
    fn filter(self, published_only: bool) -> ProductFilter {
        let Self { department, category, brand, min_price, max_price, in_stock, .. } = self;
        let [department, category, brand] =
            [department, category, brand].map(|word| word.map(Text::into_string));
        let [min_price, max_price] = [min_price, max_price].map(|price| price.map(Whole::get));
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
///
/// For anyone once it is published; what it was (`as_of`) for staff, analysts and operators.
#[utoipa::path(
    get,
    operation_id = "get_product",
    path = "/v1/products/{id}",
    tag = "catalogue",
    params(Id<ProductId>, ReadPast),
    responses(
        (status = OK, body = AsOf<Product>, headers(
            ("ETag" = String, description = "Revision of the product"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn by_id(
    State(app): State<AppState>,
    Id(id): Id<ProductId>,
    ReadPast { read, when }: ReadPast,
) -> Result<Response, Problem> {
    if !when.is_now() {
        read.request.caller.require(&READERS)?;
        let unknown = || Problem::not_found("there was no such product then");
        let stream = StreamId::new(StreamType::Product, id);
        let then = then(&app, &read.request, &HISTORY, &stream, &when, unknown).await?;
        return then.answer(&read);
    }
    let position = app.reach(READS, &read.request).await?;
    let product = app.read_model().products.find(id.uuid()).await?;
    let product = visible(product, &read)?;
    Ok(read.answer(product.entity, &position))
}

/// The product that bears a SKU
#[utoipa::path(
    get,
    operation_id = "get_product_by_sku",
    path = "/v1/products/by-sku/{sku}",
    tag = "catalogue",
    params(OfSku, ReadOne),
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
    Path(OfSku { sku }): Path<OfSku>,
    read: ReadOne,
) -> Result<Response, Problem> {
    let position = app.reach(READS, &read.request).await?;
    let product = app.read_model().products_by_sku.find(sku).await?;
    let product = visible(product, &read)?;
    Ok(read.answer(product.entity, &position))
}

fn visible(found: Option<FoundProduct>, read: &ReadOne) -> Result<FoundProduct, Problem> {
    found
        .filter(|product| product.is_published || read.request.caller.has(Role::Staff))
        .ok_or_else(|| Problem::not_found("there is no such product"))
}
