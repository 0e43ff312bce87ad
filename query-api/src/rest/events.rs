//! `GET /v1/events`: the log itself, for analysts.

use axum::{
    body::Body,
    extract::{OriginalUri, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use infra::{
    clock::Clock,
    http::{
        extract::Query,
        fields::{Fields, Validate},
        page::Cursor,
        problem::Problem,
        values::{Whole, from_text},
    },
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::read::AppState;
use crate::replay::selection::{Actor, Bound, Condition, Selection, Streams, Types};

const NDJSON: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
const UNSTORED: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));

type Rate = Whole<i32, 1, 1_000_000>;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Where to begin: an instant, `now-7d` (`s`, `m`, `h`, `d`, `w`), or a `Tradewind-Position`, behind
    /// which it begins in the shards that it names, and at the beginning in others.
    #[param(inline, example = "now-7d")]
    from: Option<Bound>,
    /// Where to end, likewise, not included; never later than the end that the log has now.
    #[param(inline, example = "2030-01-31T12:00:00Z")]
    to: Option<Bound>,
    /// Types of events, or `order.*` for all of one kind, joined by commas.
    #[serde(rename = "type")]
    #[param(inline, style = Form, explode = false, example = json!(["order.*"]))]
    types: Option<Types>,
    /// One stream, or `order/*` for all of one kind.
    #[param(inline, example = "order/*")]
    stream: Option<Streams>,
    /// Who acted.
    #[param(inline, example = "guest")]
    actor: Option<Actor>,
    /// A member of the data, as they are shown, and its value. In lists any item may have it.
    #[serde(rename = "where")]
    #[param(inline, example = "data.channel=pos")]
    condition: Option<Condition>,
    #[serde(default)]
    #[param(inline, required = false)]
    format: Format,
    #[serde(default)]
    #[param(inline, required = false)]
    order: Order,
    /// True: events as they were written, also of older versions.
    #[serde(default)]
    #[param(required = false)]
    raw: bool,
    /// Events a second, at most.
    #[serde(default, deserialize_with = "from_text")]
    #[param(inline)]
    rate: Option<Rate>,
    /// The last `cursor` that came: goes on behind it. The other parameters have to be the same.
    #[param(inline)]
    cursor: Option<Cursor>,
}

/// How events are written.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Ndjson,
}

/// `shard`: one shard after the other, each in the order of the log.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Shard,
}

impl Validate for Parameters {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/rate", &self.rate);
        let now = Clock::System.now();
        // A cursor has settled it, and time has passed since.
        if self.cursor.is_none()
            && let (Some(from), Some(to)) = (&self.from, &self.to)
        {
            let ordered = from.is_before(to, now);
            fields.check("/to", "out_of_range", ordered, "must not be before `from`");
        }
    }
}

/// Replay the log
///
/// A line is one event, a CloudEvent in JSON as the log has it, lifted to its type's newest version. Texts
/// that tell of a person are pseudonyms (`~…`, the same for the same text). Every chunk ends with a line
/// `{"cursor", "left"}`: who goes on from there misses nothing and gets nothing twice. `left` is how many
/// records of the log are still to be read; it is 0 once all has been shown. What goes wrong under way is
/// told by a last line `{"problem"}`.
///
/// Within a shard, events come in the order of the log. A replay ends where the log ended when it began.
#[utoipa::path(
    get,
    operation_id = "replay_events",
    path = "/v1/events",
    tag = "events",
    params(Parameters),
    responses((
        status = OK, description = "Events and cursors, a line each", body = String,
        content_type = "application/x-ndjson",
    )),
    security(("api_key" = ["analyst"])),
)]
pub(super) async fn replay(
    State(app): State<AppState>,
    Query(parameters): Query<Parameters>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Problem> {
    let Some(replays) = app.replays() else {
        let detail = "replays are switched off here: `replay.key` is not set";
        return Err(Problem::unavailable("replay_off", detail));
    };
    let Parameters { from, to, types, stream, actor, condition, raw, rate, cursor, .. } =
        parameters;
    let Format::Ndjson = parameters.format;
    let Order::Shard = parameters.order;
    let text = asked(uri.query().unwrap_or_default());
    let rate = rate.map(|rate| rate.get().unsigned_abs());
    let selection = Selection { from, to, types, stream, actor, condition, raw, rate, text };
    let run = replays.begin(selection, cursor.as_ref()).await?;
    Ok(([NDJSON, UNSTORED], Body::from_stream(run.chunks())).into_response())
}

/// What decides what is shown, in one order.
fn asked(query: &str) -> String {
    let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.retain(|pair| !["cursor", "rate"].contains(&pair.split('=').next().unwrap_or_default()));
    pairs.sort_unstable();
    pairs.join("&")
}
