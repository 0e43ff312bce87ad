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
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Doors;
use crate::{
    settle::{self, Outcome, SettleError},
    store::letters::{self, Act, DeadLetter, DeadLetterState, Decision, Detail, Filter},
};

type Reason = Text<1_000>;
type ReasonOrNone = Text<1_000, 0>;
/// Of a projection.
type Name = Text<64, 0>;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
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
pub(super) struct RetryBody {
    reason: Option<ReasonOrNone>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterEdit)]
pub(super) struct EditBody {
    /// What the projection is to read instead of the event's data.
    #[schema(value_type = shapes::Json)]
    data: Value,
    reason: Reason,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterSkip)]
pub(super) struct SkipBody {
    reason: Reason,
}

infra::validates!(RetryBody: reason);
infra::validates!(EditBody: reason);
infra::validates!(SkipBody: reason);

/// Dead letters in pages, newest first
#[utoipa::path(
    get,
    path = "/v1/admin/dead-letters",
    tag = "Dead letters",
    params(ListParameters),
    security(("api_key" = ["operator"])),
    responses((status = 200, body = ListingBody<DeadLetter>, headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`"),
    ))),
)]
pub(super) async fn list_dead_letters(
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
    let letters = letters.map_err(SettleError::Database)?;
    Ok(page.listing(letters, |last| (Timestamp::from(last.parked_at), last.id)))
}

/// One dead letter, with what waits behind it and what was done about it
#[utoipa::path(
    get,
    path = "/v1/admin/dead-letters/{id}",
    tag = "Dead letters",
    params(Id<Uuid>),
    security(("api_key" = ["operator"])),
    responses((status = 200, body = Detail)),
)]
pub(super) async fn get_dead_letter(
    State(doors): State<Doors>,
    Id(id): Id<Uuid>,
) -> Result<Json<Detail>, Problem> {
    let found = letters::find(&doors.control.pool, id).await.map_err(SettleError::Database)?;
    Ok(Json(found.ok_or(SettleError::NotFound)?))
}

/// Apply the key's events again, in order
///
/// 409 `still_inapplicable` if the event still does not apply; 409 `not_parked` if it does not wait.
#[utoipa::path(
    post,
    path = "/v1/admin/dead-letters/{id}/retry",
    tag = "Dead letters",
    params(Id<Uuid>),
    request_body = Option<RetryBody>,
    security(("api_key" = ["operator"])),
    responses((status = 200, body = Outcome)),
)]
pub(super) async fn retry_dead_letter(
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
    tag = "Dead letters",
    params(Id<Uuid>),
    request_body = EditBody,
    security(("api_key" = ["operator"])),
    responses((status = 200, body = Outcome)),
)]
pub(super) async fn edit_dead_letter(
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
    tag = "Dead letters",
    params(Id<Uuid>),
    request_body = SkipBody,
    security(("api_key" = ["operator"])),
    responses((status = 200, body = Outcome)),
)]
pub(super) async fn skip_dead_letter(
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
    Ok(Json(answered.await.map_err(Problem::internal)??))
}

impl From<SettleError> for Problem {
    fn from(error: SettleError) -> Self {
        let detail = error.to_string();
        match error {
            SettleError::NotFound => Self::not_found(detail),
            SettleError::NotParked(_) => Self::conflict("not_parked", detail),
            SettleError::NotServed { .. } => Self::conflict("version_not_served", detail),
            SettleError::InvalidData(_) => Self::invalid_field("/data", "not_an_event", detail),
            SettleError::StillInapplicable(_) => Self::conflict("still_inapplicable", detail),
            SettleError::TooManyCorrections => Self::conflict("too_many_corrections", detail),
            SettleError::Database(error) => {
                let detail = "PostgreSQL does not answer, or the shard is busy; the letter's state \
                              tells whether it happened";
                Self::unavailable("unavailable", detail).caused_by(error)
            }
        }
    }
}
