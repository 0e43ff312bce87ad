//! `GET /v1/orders…`: lists for staff and analysts; one order also for the guest who holds the token
//! of the cart that became it.

use axum::{extract::State, response::Response};
use domain::{api_key::Role, id::OrderId, timestamp::Timestamp};
use infra::{
    freshness::Projection,
    http::{
        extract::{Path, Query},
        fields::{Fields, Validate},
        page::{ListingBody, Page},
        problem::Problem,
        shapes,
        values::Text,
    },
};
use read_models::orders::{ORDERS, Order};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    AppState, answer,
    asked::{Asked, EntityHeaders, GuestHeaders, NoParameters, ReadHeaders},
};
use crate::read_model::{FoundOrder, OrderFilter};

const READS: &[Projection] = &[ORDERS.shown()];
const READERS: [Role; 3] = [Role::Staff, Role::Analyst, Role::Operator];

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
    #[param(inline, value_type = Option<shapes::PageLimit>)]
    #[expect(dead_code, reason = "`Page` reads it")]
    limit: Option<String>,
    /// The `next` of the page before.
    #[param(inline, value_type = Option<shapes::CursorText>)]
    #[expect(dead_code, reason = "`Page` reads it")]
    cursor: Option<String>,
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
    params(ListParameters, ReadHeaders),
    responses((status = OK, body = ListingBody<Order>, headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`"),
        ("Tradewind-Position" = String, description = "What the answer reflects"),
    ))),
    security(("api_key" = ["staff"]), ("api_key" = ["analyst"])),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Query(parameters): Query<ListParameters>,
    page: Page,
    asked: Asked,
) -> Result<Response, Problem> {
    let after = page.after()?;
    let filter = parameters.filter();
    let position = app.reach(READS, &asked).await?;
    let rows_max = i64::from(page.limit()) + 1;
    let orders = app.read_model().orders(&filter, after, rows_max).await?;
    let listing = page.listing(orders, |last| last.after).map(|order| order.body);
    Ok(answer::list(listing, &position))
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
    params(("id" = Uuid, Path), GuestHeaders, ReadHeaders, EntityHeaders),
    responses(
        (status = OK, body = Order, headers(
            ("ETag" = String, description = "Revision of the order"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn by_id(
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    Query(NoParameters {}): Query<NoParameters>,
    asked: Asked,
) -> Result<Response, Problem> {
    let position = app.reach(READS, &asked).await?;
    let order = app.read_model().order(id).await?;
    let order = order
        .filter(|order| may_read(&asked, order))
        .ok_or_else(|| Problem::not_found("there is no such order, or it is not yours to see"))?;
    Ok(answer::entity(order.entity, &position, &asked.known))
}

fn may_read(asked: &Asked, order: &FoundOrder) -> bool {
    READERS.iter().any(|role| asked.caller.has(*role))
        || order.cart.is_some_and(|cart| asked.open_cart == Some(cart))
}
