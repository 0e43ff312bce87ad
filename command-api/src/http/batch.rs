//! Many commands in one request: NDJSON in, NDJSON out, in order, while it is still being sent.
//!
//! Each line goes through the same routes as a request of its own, so it is answered in the same
//! way, and a bad line fails alone. [`sequencer`] says which lines run side by side.
//!
//! A batch is bounded in lines, blank ones among them, in bytes and in time; a line as a body of its
//! own would be. Each line is asked for its rights anew, for a key may be revoked under way.
//!
//! While a client goes on sending, its answers are kept ([`spool`]); when it pauses, it is taken to wait
//! for them. So a client may read while it sends, or send all before it reads.

mod line;
mod lines;
mod sequencer;
mod spool;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{FromRef, State},
    http::{
        HeaderMap, StatusCode,
        header::{self, AUTHORIZATION},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesOrdered};
use infra::http::{
    extract::BODY_BYTES_MAX, headers::IdempotencyKey, problem::Problem, syntax::content_type,
    trace::RequestContext,
};
use tokio::time::Instant;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;
use line::Origin;
use lines::{Lines, Read};
use sequencer::Sequencer;

/// Lines of one batch. The next one is answered with 413, and the batch ends there.
const LINES_MAX: usize = 100_000;
/// Bytes of one batch.
const BYTES_MAX: usize = 256 << 20;
/// How long a batch may go on taking lines.
const DURATION_MAX: Duration = Duration::from_mins(10);
/// Lines of one batch that are under way at once. More wait, unread.
const UNDER_WAY_MAX: usize = 256;

const NDJSON: &str = "application/x-ndjson";

/// What a batch needs: the routes that each of its lines goes through.
#[derive(Clone)]
struct Batches {
    app: AppState,
    routes: Router,
}

impl FromRef<Batches> for AppState {
    fn from_ref(batches: &Batches) -> Self {
        batches.app.clone()
    }
}

pub(super) fn routes(app: AppState, routes: Router) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(batch)).with_state(Batches { app, routes })
}

/// Send many commands
///
/// A line `{"idempotency_key", "method", "path", "if_match"?, "if_none_match"?, "body"}` is one command,
/// answered by a line `{"index", "status", "body"}` in the same order, while the request is still being
/// sent.
///
/// Lines that name the same cart, product or SKU run one after the other; those that follow one
/// another on different ones of the same kind run side by side; a change of the kind (from
/// `/v1/stock` to `/v1/carts`, say) waits for everything before it. A line that would have waited
/// for one that got 503 gets 503, too. At most 100,000 lines of at most 1 MiB, 256 MiB together, within
/// ten minutes; what comes on top is told by a last line. Lines without a key have the request's own,
/// with their index behind it (`key-17`; where that is longer than 255 characters, its UUID of version
/// 5 in the namespace of URLs). Answers up to 64 MiB are kept for who sends all before reading any.
#[utoipa::path(
    post, path = "/v1/batch", operation_id = "send_batch",
    tag = "batch", security(("api_key" = ["staff"])),
    params(IdempotencyKey),
    request_body(
        content = String, content_type = "application/x-ndjson",
        example = json!("{\"idempotency_key\": \"a-1\", \"method\": \"POST\", \"path\": \"/v1/stock/A-1/receive\", \"body\": {\"quantity\": 5}}\n"),
    ),
    responses((
        status = 200, description = "One line per command", body = String,
        content_type = "application/x-ndjson",
    )),
)]
async fn batch(
    State(batches): State<Batches>,
    key: Option<IdempotencyKey>,
    request: RequestContext,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if content_type(&headers).as_deref() != Some(NDJSON) {
        return Err(Problem::unsupported_media_type(NDJSON));
    }
    let run = Run {
        origin: Origin { authorization: headers.get(AUTHORIZATION).cloned(), key, request },
        routes: batches.routes,
        lines: Lines::new(
            body,
            lines::Bounds {
                line_bytes_max: BODY_BYTES_MAX,
                bytes_max: BYTES_MAX,
                blank_max: LINES_MAX,
                until: Instant::now() + DURATION_MAX,
            },
        ),
        sequencer: Sequencer::new(UNDER_WAY_MAX),
        under_way: FuturesOrdered::new(),
        index: 0,
        open: true,
    };
    let body = Body::from_stream(spool::answers(run).map(Ok::<_, std::convert::Infallible>));
    Ok(([(header::CONTENT_TYPE, NDJSON)], body).into_response())
}

/// One batch on its way.
struct Run {
    origin: Origin,
    routes: Router,
    lines: Lines,
    sequencer: Sequencer,
    under_way: FuturesOrdered<BoxFuture<'static, Bytes>>,
    /// Of the next line.
    index: usize,
    /// There may be more lines.
    open: bool,
}

impl Run {
    /// The next answer; `None` after the last. Loses nothing if it is dropped before it is done.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let may_read = self.may_read();
            tokio::select! {
                Some(answer) = self.under_way.next() => return Some(answer),
                read = self.lines.next(), if may_read => self.take(read),
                else => return None,
            }
        }
    }

    fn may_read(&self) -> bool {
        self.open && self.under_way.len() < UNDER_WAY_MAX
    }

    fn take(&mut self, read: Read) {
        let index = self.index;
        let refusal = match read {
            Read::End => return self.open = false,
            Read::Line(_) | Read::TooLong if index >= LINES_MAX => {
                self.open = false;
                let detail =
                    format!("a batch may have at most {LINES_MAX} lines; send the rest in another");
                Problem::rejected(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_long", detail)
            }
            Read::Line(line) => return self.start(index, line),
            Read::TooLong => Problem::body_too_large(BODY_BYTES_MAX),
            Read::Broken(problem) => {
                self.open = false;
                problem
            }
        };
        self.index += 1;
        self.refuse(index, refusal);
    }

    fn refuse(&mut self, index: usize, problem: Problem) {
        let origin = self.origin.clone();
        self.under_way.push_back(Box::pin(async move { origin.refuse(index, problem).await }));
    }

    fn start(&mut self, index: usize, line: Bytes) {
        self.index += 1;
        match line::parse(line) {
            Ok(line) => {
                let turn = self.sequencer.turn(line.touches());
                let (routes, origin) = (self.routes.clone(), self.origin.clone());
                self.under_way.push_back(Box::pin(async move {
                    let Ok(guard) = turn.come().await else {
                        return origin.refuse(index, earlier_lost()).await;
                    };
                    let (answer, stands) = line.run(index, routes, &origin).await;
                    if stands {
                        guard.end();
                    }
                    answer
                }));
            }
            Err(problem) => self.refuse(index, problem),
        }
    }
}

fn earlier_lost() -> Problem {
    let detail = "an earlier line that this one follows has no answer; send both again";
    Problem::unavailable("earlier_line_lost", detail)
}
