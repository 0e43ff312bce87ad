//! `GET /v1/orders…`: lists for staff and analysts; one order also for the guest who holds the token
//! of the cart that became it.

use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use domain::{
    StreamType,
    id::{CartId, OrderId, StreamId},
    timestamp::Timestamp,
};
use infra::{
    auth::{Caller, OpenCart},
    freshness::Projection,
    http::{
        extract::{Id, Query},
        fields::{Fields, Validate},
        page::{Cursor, Limit, ListingBody, Page},
        problem::Problem,
        shapes,
        values::Text,
    },
};
use read_models::orders::{HISTORY, ORDERS, Order};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    past::{AsOf, then},
    read::{AppState, ReadPast, ReadRequest, answer},
    streams::READERS,
};
use crate::read_model::OrderFilter;

const READS: &[Projection] = &[ORDERS.shown()];

type Reference = Text<200, 0>;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    #[param(inline)]
    status: Option<Status>,
    #[param(inline, example = "household-1")]
    customer_reference: Option<Reference>,
    /// Only orders that were placed later than this.
    #[param(inline, value_type = Option<shapes::Instant>)]
    placed_after: Option<Timestamp>,
    /// Only orders that were placed earlier than this.
    #[param(inline, value_type = Option<shapes::Instant>)]
    placed_before: Option<Timestamp>,
    /// Orders of one page: 1 to 200, 50 by default.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next` of the page before.
    #[param(inline)]
    cursor: Option<Cursor>,
}

impl Validate for ListParameters {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/customer_reference", &self.customer_reference);
    }
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Pending,
    Confirmed,
    PartiallyFulfilled,
    Fulfilled,
    Returned,
    Rejected,
    Cancelled,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::PartiallyFulfilled => "partially_fulfilled",
            Self::Fulfilled => "fulfilled",
            Self::Returned => "returned",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Orders in pages, newest first
///
/// For staff and analysts.
#[utoipa::path(
    get,
    operation_id = "list_orders",
    path = "/v1/orders",
    tag = "orders",
    params(ListParameters, ReadRequest),
    responses((status = OK, body = ListingBody<Order>, headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`"),
        ("Tradewind-Position" = String, description = "What the answer reflects"),
    ))),
    security(("api_key" = ["staff"]), ("api_key" = ["analyst"])),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Query(parameters): Query<ListParameters>,
    OriginalUri(uri): OriginalUri,
    request: ReadRequest,
) -> Result<Response, Problem> {
    let page = Page::new(uri, parameters.limit.as_ref(), parameters.cursor.as_ref())?;
    let after = page.after()?;
    let filter = parameters.filter();
    let position = app.reach(READS, &request).await?;
    let rows_max = i64::from(page.limit()) + 1;
    let orders = app.read_model().orders(&filter, after, rows_max).await?;
    let listing = page.listing(orders, |last| last.after).map(|order| order.body);
    Ok(answer(listing, &position))
}

impl ListParameters {
    fn filter(self) -> OrderFilter {
        let Self { status, customer_reference, placed_after, placed_before, .. } = self;
        let status = status.map(Status::as_str);
        let customer_reference = customer_reference.map(Text::into_string);
        OrderFilter { status, customer_reference, placed_after, placed_before }
    }
}

/// One order
///
/// For staff, analysts and operators, and for the guest who holds the token of the cart that became
/// the order; for others it does not exist.
#[utoipa::path(
    get,
    operation_id = "get_order",
    path = "/v1/orders/{id}",
    tag = "orders",
    params(Id<OrderId>, OpenCart, ReadPast),
    responses(
        (status = OK, body = AsOf<Order>, headers(
            ("ETag" = String, description = "Revision of the order"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn by_id(
    State(app): State<AppState>,
    Id(id): Id<OrderId>,
    open_cart: OpenCart,
    ReadPast { read, when }: ReadPast,
) -> Result<Response, Problem> {
    let hidden = || Problem::not_found("there is no such order, or it is not yours to see");
    if !when.is_now() {
        // Who has no token and no role learns nothing, not even whether a journal is kept.
        if !is_reader(&read.request.caller) && open_cart.0.is_none() {
            return Err(hidden());
        }
        if !is_reader(&read.request.caller) {
            app.reach(READS, &read.request).await?;
            let order = app.read_model().orders.find(id.uuid()).await?;
            let caller = &read.request.caller;
            if !order.is_some_and(|order| may_read(caller, open_cart, order.cart)) {
                return Err(hidden());
            }
        }
        let stream = StreamId::new(StreamType::Order, id);
        let then = then(&app, &read.request, &HISTORY, &stream, &when, hidden).await?;
        let cart = then.body["cart_id"].as_str().and_then(|cart| cart.parse().ok());
        if !may_read(&read.request.caller, open_cart, cart) {
            return Err(hidden());
        }
        return then.answer(&read);
    }
    let position = app.reach(READS, &read.request).await?;
    let order = app.read_model().orders.find(id.uuid()).await?;
    let order = order
        .filter(|order| may_read(&read.request.caller, open_cart, order.cart))
        .ok_or_else(hidden)?;
    Ok(read.answer(order.entity, &position))
}

/// Of the order that a cart became.
fn may_read(caller: &Caller, OpenCart(open): OpenCart, cart: Option<CartId>) -> bool {
    is_reader(caller) || (open.is_some() && open == cart)
}

fn is_reader(caller: &Caller) -> bool {
    READERS.iter().any(|role| caller.has(*role))
}
