//! Steps of processes that failed for good, for operators: what waits, and what becomes of it.
//!
//! The aggregates that hold them ([`domain::process`]) are few and small, one per shard, so a list
//! reads them all. Who did what and why stands in their events.

use axum::{
    Json,
    extract::{OriginalUri, State},
};
use domain::{
    id::{StepId, StreamId},
    process::{self, ParkedStep, Process},
    shard::ShardId,
    timestamp::Timestamp,
};
use infra::http::{
    extract::{Id, Query},
    fields::Validate,
    page::{Cursor, Limit, Listing, ListingBody, Page},
    problem::Problem,
    values::Text,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{AcceptedOfStep, Reply, rejection},
    incoming::{Incoming, Origin},
    shapes::Empty,
    state::{AppState, unread},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(retry))
        .routes(routes!(skip))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// Steps of one page: 1 to 200, 50 by default.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next` of the page before.
    #[param(inline)]
    cursor: Option<Cursor>,
}

impl Validate for ListParameters {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StepSkip)]
struct SkipBody {
    /// Why nobody waits for it any more; the events keep it.
    reason: Text<1_000>,
}

infra::validates!(SkipBody: reason);

/// A step that waits for an operator.
#[derive(Serialize, ToSchema)]
#[schema(as = ParkedStep)]
struct Step {
    id: Uuid,
    /// `parked`, `retried` while it is being tried again, or `skipped` while other steps of the same
    /// event wait.
    #[schema(example = "parked")]
    state: &'static str,
    #[schema(example = "checkout")]
    process: String,
    #[schema(example = "reserve TEA-1")]
    step: String,
    /// The stream that it was to tell something.
    #[schema(value_type = Option<String>, example = "stock/TEA-1")]
    target: Option<StreamId>,
    event: Cause,
    error: Failure,
    /// How often it has been tried again.
    attempt: u32,
    #[schema(value_type = String, format = DateTime)]
    parked_at: Timestamp,
    /// Who had it tried again or skipped last.
    by: Option<String>,
    reason: Option<String>,
}

/// The event that asked for it.
#[derive(Serialize, ToSchema)]
#[schema(as = ParkedStepEvent)]
struct Cause {
    id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "tradewind.order.placed.v1")]
    kind: String,
    #[schema(value_type = String)]
    stream: StreamId,
    shard: u32,
    /// It stands in the log from here on.
    offset: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ParkedStepError)]
struct Failure {
    #[schema(example = "stream_unreadable")]
    code: String,
    detail: String,
}

impl Step {
    fn of((id, parked): (StepId, ParkedStep)) -> Self {
        let ParkedStep { step, failure, attempt, status, parked_at, by, reason, .. } = parked;
        let event = Cause {
            id: step.event_id.uuid(),
            kind: step.event_type,
            stream: step.stream,
            shard: step.shard,
            offset: step.offset,
        };
        Self {
            id: id.uuid(),
            state: status.as_str(),
            process: step.process,
            step: step.name,
            target: step.target,
            event,
            error: Failure { code: failure.code, detail: failure.detail },
            attempt,
            parked_at,
            by,
            reason,
        }
    }
}

/// List parked steps
///
/// What processes could not do, oldest first: each waits until it is tried again or skipped.
#[utoipa::path(
    get, path = "/v1/admin/parked-steps", operation_id = "list_parked_steps",
    tag = "parked-steps", security(("api_key" = ["operator"])),
    params(ListParameters),
    responses((status = 200, description = "One page", body = ListingBody<Step>, headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`"),
    ))),
)]
async fn list(
    State(app): State<AppState>,
    Query(ListParameters { limit, cursor }): Query<ListParameters>,
    OriginalUri(uri): OriginalUri,
) -> Result<Listing<Step>, Problem> {
    let page = Page::new(uri, limit.as_ref(), cursor.as_ref())?;
    let after: Option<(i64, Uuid)> = page.after()?;
    let place = |(id, parked): &(StepId, ParkedStep)| (parked.parked_at.as_micros(), id.uuid());
    let mut steps = all(&app).await?;
    steps.sort_by_key(place);
    let rest = steps.into_iter().filter(|step| after.is_none_or(|after| place(step) > after));
    let rows_max = usize::from(page.limit()) + 1;
    let steps = rest.take(rows_max).map(Step::of).collect();
    Ok(page.listing(steps, |last| (last.parked_at.as_micros(), last.id)))
}

/// Show a parked step
#[utoipa::path(
    get, path = "/v1/admin/parked-steps/{id}", operation_id = "get_parked_step",
    tag = "parked-steps", security(("api_key" = ["operator"])),
    params(Id<StepId>),
    responses((status = 200, description = "It waits", body = Step)),
)]
async fn show(State(app): State<AppState>, Id(id): Id<StepId>) -> Result<Json<Step>, Problem> {
    Ok(Json(Step::of(find(&app, id).await?)))
}

/// Try a parked step again
///
/// Its event is run again; what was done of it is found done. If the step fails again it is parked
/// again.
#[utoipa::path(
    post, path = "/v1/admin/parked-steps/{id}/retry", operation_id = "retry_parked_step",
    tag = "parked-steps", security(("api_key" = ["operator"])),
    params(Id<StepId>, Incoming<Empty>), request_body = Option<Empty>,
    responses((status = 202, description = "It is being tried again", body = AcceptedOfStep)),
)]
async fn retry(
    State(app): State<AppState>,
    Id(id): Id<StepId>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Reply, Problem> {
    let by = origin.caller.actor().to_string();
    let command = process::Command::Retry { step_id: id, by };
    settle(&app, &origin, id, command).await
}

/// Skip a parked step
///
/// It counts as refused, and its process goes on from there: an order whose stock cannot be reserved
/// is rejected, say. If what it was to do stands by then, done by somebody else, it counts as done.
#[utoipa::path(
    post, path = "/v1/admin/parked-steps/{id}/skip", operation_id = "skip_parked_step",
    tag = "parked-steps", security(("api_key" = ["operator"])),
    params(Id<StepId>, Incoming<SkipBody>), request_body = SkipBody,
    responses((status = 202, description = "Its process goes on", body = AcceptedOfStep)),
)]
async fn skip(
    State(app): State<AppState>,
    Id(id): Id<StepId>,
    Incoming { origin, body }: Incoming<SkipBody>,
) -> Result<Reply, Problem> {
    let by = origin.caller.actor().to_string();
    let command = process::Command::Skip { step_id: id, reason: body.reason.into_string(), by };
    settle(&app, &origin, id, command).await
}

async fn settle(
    app: &AppState,
    origin: &Origin,
    id: StepId,
    command: process::Command,
) -> Result<Reply, Problem> {
    let shard = match find(app, id).await {
        Ok((_, parked)) => ShardId::new(parked.step.shard),
        // It may be done with because of an earlier request under this key.
        Err(not_found) => answered(app, origin).await?.ok_or(not_found)?,
    };
    let reply = origin.reply::<Process>(app, &shard, command).await?;
    Ok(reply.begun(format!("/v1/admin/parked-steps/{id}")))
}

/// The shard whose processes' stream has an answer to this request.
async fn answered(app: &AppState, origin: &Origin) -> Result<Option<ShardId>, Problem> {
    for shard in shards(app)? {
        if origin.is_replay(app, &shard.process_stream()).await? {
            return Ok(Some(shard));
        }
    }
    Ok(None)
}

async fn find(app: &AppState, id: StepId) -> Result<(StepId, ParkedStep), Problem> {
    let found = all(app).await?.into_iter().find(|(found, _)| *found == id);
    found.ok_or_else(|| rejection(&process::Rejection::NotFound))
}

/// Of all shards.
async fn all(app: &AppState) -> Result<Vec<(StepId, ParkedStep)>, Problem> {
    let found = app.read_many(shards(app)?.map(ShardId::process_stream).collect()).await?;
    let mut steps = Vec::new();
    for shard in shards(app)? {
        let process = found.get::<Process>(&shard).map_err(unread)?.state;
        steps.extend(process.steps().iter().map(|(id, step)| (*id, step.clone())));
    }
    Ok(steps)
}

fn shards(app: &AppState) -> Result<impl Iterator<Item = ShardId>, Problem> {
    Ok((0..app.engine.get()?.shard_count()).map(ShardId::new))
}
