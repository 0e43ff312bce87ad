//! What other nodes ask: not for clients, and in no contract.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, Request, State},
    http::HeaderValue,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::post,
};
use domain::{id::StreamId, shard::ShardId};
use infra::{
    http::problem::Problem,
    membership::seal::{Doubt, Gate, Tag},
    telemetry::{Event, emit, metric::Counter},
};

use super::state::AppState;
use crate::engine::{
    Answered, Ask, READ_WAIT_MAX, ShardStatus, Shown, Submission, SubmitError,
    forward::{
        ANSWER_SEAL, BODY_BYTES_MAX, KNOWS_PATH, KnowsRequest, READ_PATH, ReadRequest, SEAL,
        SHARDS_PATH, SUBMIT_PATH, SubmitRequest,
    },
};

static DOUBTED: Counter = Counter::new(
    "tradewind_peers_doubted_total",
    "Requests in the name of a node that were not believed, by reason",
);

/// Somebody asks as if it were a node.
struct PeerDoubted {
    doubt: Doubt,
}

impl Event for PeerDoubted {
    fn emit(self) {
        let reason = self.doubt.as_str();
        DOUBTED.add(&[("reason", reason)], 1);
        tracing::debug!(reason, "a request under a path of nodes is not believed ({reason})");
    }
}

/// However long the asking node would wait, the answer is of no use later.
const WAIT_MAX: Duration = Duration::from_mins(1);

fn nothing() -> Problem {
    Problem::not_found("there is nothing at this path")
}

/// Lets in what another node has asked of this one, just now and for the first time, and binds the
/// answer to it. To all others there is nothing here.
pub(crate) async fn guard(
    State(gate): State<Option<Arc<Gate>>>,
    request: Request,
    next: Next,
) -> Response {
    // Without a secret nobody is a peer.
    let Some(gate) = gate else { return nothing().into_response() };
    let (tag, request) = match admit(&gate, request).await {
        Ok(admitted) => admitted,
        Err(doubt) => {
            emit(PeerDoubted { doubt });
            return nothing().into_response();
        }
    };
    let (mut parts, body) = next.run(request).await.into_parts();
    // Both are made by the handlers above, whole.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return nothing().into_response() };
    let seal = gate.key().answer(&tag, parts.status.as_u16(), &body);
    if let Ok(seal) = HeaderValue::try_from(seal) {
        parts.headers.insert(ANSWER_SEAL, seal);
    }
    Response::from_parts(parts, Body::from(body))
}

async fn admit(gate: &Gate, request: Request) -> Result<(Tag, Request), Doubt> {
    let (parts, body) = request.into_parts();
    let seal = parts.headers.get(SEAL).and_then(|seal| seal.to_str().ok());
    let seal = seal.ok_or(Doubt::Unsigned)?;
    gate.look(seal)?;
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_cut_off| Doubt::Forged)?;
    let tag = gate.admit(seal, parts.uri.path(), &body)?;
    Ok((tag, Request::from_parts(parts, Body::from(body))))
}

/// As nodes of all releases read it.
type PeerAnswer<T> = Result<Json<Result<T, SubmitError>>, Problem>;

pub(super) fn routes(gate: Option<Arc<Gate>>) -> Router<AppState> {
    Router::new()
        .route(SUBMIT_PATH, post(submit))
        .route(READ_PATH, post(read))
        .route(KNOWS_PATH, post(knows))
        .route(SHARDS_PATH, post(shards))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(gate, guard))
}

async fn submit(
    State(app): State<AppState>,
    Json(request): Json<SubmitRequest<Submission>>,
) -> PeerAnswer<Answered> {
    let wait = Duration::from_millis(request.wait_millis).min(WAIT_MAX);
    let ask = Ask::Submit(Arc::new(request.submission));
    Ok(Json(app.engine.get()?.answer(ask, wait).await))
}

async fn read(
    State(app): State<AppState>,
    Json(ReadRequest { streams, consistency }): Json<ReadRequest<Vec<StreamId>>>,
) -> PeerAnswer<Answered> {
    let engine = app.engine.get()?;
    let Some(first) = streams.first() else {
        return Ok(Json(Ok(Answered::Shown(Shown::default()))));
    };
    let shard = engine.shard_of(first);
    if streams.iter().any(|stream| engine.shard_of(stream) != shard) {
        return Err(Problem::bad_request("several_shards", "the streams are of several shards"));
    }
    let ask = Ask::Read { shard, streams, consistency };
    Ok(Json(engine.answer(ask, READ_WAIT_MAX).await))
}

async fn knows(
    State(app): State<AppState>,
    Json(KnowsRequest { shard, command_id }): Json<KnowsRequest>,
) -> PeerAnswer<Answered> {
    let engine = app.engine.get()?;
    if shard >= engine.shard_count() {
        return Err(Problem::bad_request("unknown_shard", "there is no such shard"));
    }
    let ask = Ask::Knows { shard: ShardId::new(shard), command_id };
    Ok(Json(engine.answer(ask, READ_WAIT_MAX).await))
}

async fn shards(State(app): State<AppState>) -> PeerAnswer<Vec<ShardStatus>> {
    Ok(Json(Ok(app.engine.get()?.status())))
}
