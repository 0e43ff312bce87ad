//! What other nodes ask: not for clients, and in no contract.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequestParts, State},
    http::{header, request::Parts},
    routing::post,
};
use domain::id::StreamId;
use infra::http::problem::Problem;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::state::AppState;
use crate::engine::{
    Answer, ShardStatus, Snapshot, Submission, SubmitError,
    forward::{READ_PATH, ReadRequest, SHARDS_PATH, SUBMIT_PATH, SubmitRequest},
};

/// A command grows a bit on its way: names of fields, and what was looked up for it.
const BODY_BYTES_MAX: usize = 8 << 20;

/// However long the asking node would wait, the answer is of no use later.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// A request that bears the nodes' secret.
struct Peer;

impl FromRequestParts<AppState> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        // Without a secret nobody is a peer, and there is nothing here.
        let Some(secret) = &app.peer_secret else { return Err(nothing()) };
        let bearer = parts.headers.get(header::AUTHORIZATION);
        let bearer = bearer.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let known = bearer.is_some_and(|it| it.ct_eq(secret.expose_secret().as_bytes()).into());
        if known { Ok(Self) } else { Err(nothing()) }
    }
}

fn nothing() -> Problem {
    Problem::not_found("there is nothing at this path")
}

type Asked<T> = Result<Json<Result<T, SubmitError>>, Problem>;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route(SUBMIT_PATH, post(submit))
        .route(READ_PATH, post(read))
        .route(SHARDS_PATH, post(shards))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn submit(
    _: Peer,
    State(app): State<AppState>,
    Json(request): Json<SubmitRequest<Submission>>,
) -> Asked<Answer> {
    let wait = Duration::from_millis(request.wait_millis).min(WAIT_MAX);
    let (engine, submission) = (app.engine.get()?, Arc::new(request.submission));
    let _place = match app.admission.enter(engine, engine.shard_of(&submission.stream), 1) {
        Ok(place) => place,
        Err(busy) => return Ok(Json(Err(busy))),
    };
    Ok(Json(engine.submit_here(submission, Instant::now() + wait).await))
}

async fn read(
    _: Peer,
    State(app): State<AppState>,
    Json(request): Json<ReadRequest<Vec<StreamId>>>,
) -> Asked<Vec<Snapshot>> {
    let engine = app.engine.get()?;
    let Some(first) = request.streams.first() else { return Ok(Json(Ok(Vec::new()))) };
    let shard = engine.shard_of(first);
    if request.streams.iter().any(|stream| engine.shard_of(stream) != shard) {
        return Err(Problem::bad_request("several_shards", "the streams are of several shards"));
    }
    let _place = match app.admission.enter(engine, shard, request.streams.len()) {
        Ok(place) => place,
        Err(busy) => return Ok(Json(Err(busy))),
    };
    Ok(Json(engine.read_here(shard, request.streams, request.consistency).await))
}

async fn shards(_: Peer, State(app): State<AppState>) -> Asked<Vec<ShardStatus>> {
    Ok(Json(Ok(app.engine.get()?.status())))
}
