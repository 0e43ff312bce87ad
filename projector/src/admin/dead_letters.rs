//! `/v1/admin/dead-letters…`: what waits, and having it tried again.

use std::sync::Arc;

use axum::{
    Json,
    extract::{OriginalUri, State},
};
use domain::timestamp::Timestamp;
use infra::{
    auth::Caller,
    http::{
        extract::{self, Id, Query},
        page::{Cursor, Limit, Listing, ListingBody, Page},
        problem::Problem,
        shapes,
        values::Text,
    },
    task,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::Doors;
use crate::{
    settle::{self, SettleError, Settled},
    store::letters::{self, Act, DeadLetter, DeadLetterState, Decision, Detail, Filter},
};

type Reason = Text<1_000>;
type ReasonOrNone = Text<1_000, 0>;

#[must_use]
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(retry))
        .routes(routes!(edit))
        .routes(routes!(skip))
}

/// Of a projection.
type Name = Text<64, 0>;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// Only letters in this state.
    #[param(inline)]
    state: Option<DeadLetterState>,
    /// Only letters of this projection.
    #[param(inline, example = "orders")]
    projection: Option<Name>,
    /// Letters of one page: 1 to 200, 50 by default.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next` of the page before.
    #[param(inline)]
    cursor: Option<Cursor>,
}

infra::validates!(ListParameters: projection);

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterRetry)]
struct RetryBody {
    reason: Option<ReasonOrNone>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterEdit)]
struct EditBody {
    /// What the projection is to read instead of the event's data.
    #[schema(value_type = shapes::Json)]
    data: Value,
    reason: Reason,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterSkip)]
struct SkipBody {
    reason: Reason,
}

infra::validates!(RetryBody: reason);
infra::validates!(EditBody: reason);
infra::validates!(SkipBody: reason);

/// What came of it
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterOutcome)]
struct Outcome {
    #[serde(flatten)]
    letter: Detail,
    /// Events of the key that wait no more.
    settled_events: usize,
    /// The letter of a later event of the key that does not apply, if there is one.
    next: Option<Uuid>,
}

/// Dead letters in pages, newest first
#[utoipa::path(
    get,
    path = "/v1/admin/dead-letters",
    operation_id = "list_dead_letters",
    tag = "Dead letters",
    params(ListParameters),
    security(("api_key" = ["operator"])),
    responses((status = 200, body = ListingBody<DeadLetter>, headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`"),
    ))),
)]
async fn list(
    State(doors): State<Doors>,
    Query(parameters): Query<ListParameters>,
    OriginalUri(uri): OriginalUri,
) -> Result<Listing<DeadLetter>, Problem> {
    let ListParameters { state, projection, limit, cursor } = parameters;
    let page = Page::new(uri, limit.as_ref(), cursor.as_ref())?;
    let after: Option<(Timestamp, Uuid)> = page.after()?;
    let after = after.map(|(parked_at, id)| (parked_at.to_datetime(), id));
    let filter = Filter { state, projection: projection.map(Text::into_string) };
    let rows_max = i64::from(page.limit()) + 1;
    let letters = letters::list(&doors.control.pool, &filter, after, rows_max).await;
    Ok(page.listing(letters.map_err(away)?, |last| (Timestamp::from(last.parked_at), last.id)))
}

/// One dead letter, with what waits behind it and what was done about it
#[utoipa::path(
    get,
    path = "/v1/admin/dead-letters/{id}",
    operation_id = "get_dead_letter",
    tag = "Dead letters",
    params(Id<Uuid>),
    security(("api_key" = ["operator"])),
    responses((status = 200, body = Detail)),
)]
async fn show(State(doors): State<Doors>, Id(id): Id<Uuid>) -> Result<Json<Detail>, Problem> {
    Ok(Json(find(&doors, id).await?))
}

/// Apply the key's events again, in order
///
/// 409 `still_inapplicable` if the event still does not apply; 409 `not_parked` if it does not wait.
#[utoipa::path(
    post,
    path = "/v1/admin/dead-letters/{id}/retry",
    operation_id = "retry_dead_letter",
    tag = "Dead letters",
    params(Id<Uuid>),
    request_body = Option<RetryBody>,
    security(("api_key" = ["operator"])),
    responses((status = 200, body = Outcome)),
)]
async fn retry(
    caller: Caller,
    State(doors): State<Doors>,
    Id(id): Id<Uuid>,
    extract::Json(RetryBody { reason }): extract::Json<RetryBody>,
) -> Result<Json<Outcome>, Problem> {
    settle(&caller, &doors, id, Act::Retry, reason.map(Text::into_string)).await
}

/// Have the projection read other data for the event, and apply the key's events
///
/// The edit holds for rebuilds, too. The log keeps the event as it was.
#[utoipa::path(
    post,
    path = "/v1/admin/dead-letters/{id}/edit",
    operation_id = "edit_dead_letter",
    tag = "Dead letters",
    params(Id<Uuid>),
    request_body = EditBody,
    security(("api_key" = ["operator"])),
    responses((status = 200, body = Outcome)),
)]
async fn edit(
    caller: Caller,
    State(doors): State<Doors>,
    Id(id): Id<Uuid>,
    extract::Json(EditBody { data, reason }): extract::Json<EditBody>,
) -> Result<Json<Outcome>, Problem> {
    settle(&caller, &doors, id, Act::Edit(data), Some(reason.into_string())).await
}

/// Have the projection pass over the event, and apply those behind it
///
/// The event is skipped in rebuilds, too. The log keeps it.
#[utoipa::path(
    post,
    path = "/v1/admin/dead-letters/{id}/skip",
    operation_id = "skip_dead_letter",
    tag = "Dead letters",
    params(Id<Uuid>),
    request_body = SkipBody,
    security(("api_key" = ["operator"])),
    responses((status = 200, body = Outcome)),
)]
async fn skip(
    caller: Caller,
    State(doors): State<Doors>,
    Id(id): Id<Uuid>,
    extract::Json(SkipBody { reason }): extract::Json<SkipBody>,
) -> Result<Json<Outcome>, Problem> {
    settle(&caller, &doors, id, Act::Skip, Some(reason.into_string())).await
}

/// Runs to its end even if the caller hangs up: a transaction that is dropped half-way would hold
/// the checkpoint until the server notices.
async fn settle(
    caller: &Caller,
    doors: &Doors,
    id: Uuid,
    act: Act,
    reason: Option<String>,
) -> Result<Json<Outcome>, Problem> {
    let (answer, answered) = oneshot::channel();
    let decision = Decision { act, reason, actor: caller.actor() };
    let (pool, projections) = (doors.control.pool.clone(), Arc::clone(&doors.control.projections));
    task::spawn("dead letter", async move {
        let settled = settle::settle(&pool, &projections, id, &decision).await;
        // Nobody may be left to hear it.
        answer.send(settled).ok();
    })
    .detach();
    let settled = answered.await.map_err(Problem::internal)?;
    let Settled { events, next } = settled.map_err(refusal)?;
    Ok(Json(Outcome { letter: find(doors, id).await?, settled_events: events, next }))
}

async fn find(doors: &Doors, id: Uuid) -> Result<Detail, Problem> {
    let found = letters::find(&doors.control.pool, id).await.map_err(away)?;
    found.ok_or_else(|| refusal(SettleError::NotFound))
}

fn refusal(error: SettleError) -> Problem {
    let detail = error.to_string();
    match error {
        SettleError::NotFound => Problem::not_found(detail),
        SettleError::NotParked(_) => Problem::conflict("not_parked", detail),
        SettleError::NotServed { .. } => Problem::conflict("version_not_served", detail),
        SettleError::InvalidData(_) => Problem::invalid_field("/data", "not_an_event", detail),
        SettleError::StillInapplicable(_) => Problem::conflict("still_inapplicable", detail),
        SettleError::TooManyCorrections => Problem::conflict("too_many_corrections", detail),
        SettleError::Database(error) => away(error),
    }
}

fn away(error: sqlx::Error) -> Problem {
    let detail = "PostgreSQL does not answer, or the shard is busy; the letter's state tells \
                  whether it happened";
    Problem::unavailable("unavailable", detail).caused_by(error)
}
