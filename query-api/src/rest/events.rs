//! `GET /v1/events`: the log itself, for analysts.

use axum::{
    body::Body,
    extract::{OriginalUri, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use infra::{
    auth::Caller,
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
use crate::replay::{
    format::{Columns, Format},
    selection::{Actor, Bound, Condition, Order, Personal, Selection, Streams, Types},
};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv; charset=utf-8; header=present";
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
    format: Written,
    /// Columns of `csv`: attributes, `data`, and members of the data such as `data.total.amount`.
    #[param(inline, style = Form, explode = false, example = json!(["time", "stream", "data.channel"]))]
    columns: Option<Columns>,
    /// `shard`: one shard after the other. `time`: what was recorded first comes first, each shard in its own
    /// order.
    #[serde(default)]
    #[param(inline, required = false)]
    order: Order,
    /// True: goes on with what comes, for ever. All shards go forward together.
    #[serde(default)]
    #[param(required = false)]
    follow: bool,
    /// Texts that tell of a person: as pseudonyms, or, for callers with the role `privacy`, as they are. Each such
    /// reading is recorded.
    #[serde(default)]
    #[param(inline, required = false)]
    personal: Personal,
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
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Written {
    #[default]
    Ndjson,
    Csv,
}

impl Validate for Parameters {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/rate", &self.rate);
        let is_csv = self.format == Written::Csv;
        let fits = self.columns.is_none() || is_csv;
        fields.check("/columns", "unexpected", fits, "only with `format=csv`");
        let fits = self.to.is_none() || !self.follow;
        fields.check(
            "/to",
            "unexpected",
            fits,
            "what is followed has no end: not with `follow=true`",
        );
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
/// In `csv` such lines begin with `#`, and the first line names the columns, unless a cursor was sent.
///
/// Within a shard, events come in the order of the log. A replay ends where the log ended when it began, but for
/// one that follows: there `left` counts what the log has now, and 0 says that it is level.
#[utoipa::path(
    get,
    operation_id = "replay_events",
    path = "/v1/events",
    tag = "events",
    params(Parameters),
    responses((
        status = OK, description = "Events and cursors, a line each",
        content((String = "application/x-ndjson"), (String = "text/csv")),
    )),
    security(("api_key" = ["analyst"])),
)]
pub(super) async fn replay(
    State(app): State<AppState>,
    caller: Caller,
    Query(parameters): Query<Parameters>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Problem> {
    let Some(replays) = app.replays() else {
        let detail = "replays are switched off here: `replay.key` is not set";
        return Err(Problem::unavailable("replay_off", detail));
    };
    let Parameters { from, to, types, stream, actor, condition, columns, .. } = parameters;
    let Parameters { order, follow, personal, raw, rate, cursor, .. } = parameters;
    let (format, content_type) = match parameters.format {
        Written::Ndjson => (Format::Ndjson, NDJSON),
        Written::Csv => (Format::Csv(columns.unwrap_or_default()), CSV),
    };
    let text = asked(uri.query().unwrap_or_default());
    let rate = rate.map(|rate| rate.get().unsigned_abs());
    let filters = Selection { from, to, types, stream, actor, condition, ..Selection::default() };
    let selection = Selection { raw, personal, order, follow, format, rate, text, ..filters };
    let run = replays.begin(&caller, selection, cursor.as_ref()).await?;
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(([content_type, UNSTORED], Body::from_stream(run.chunks())).into_response())
}

/// What decides what is shown, in one order.
fn asked(query: &str) -> String {
    let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.retain(|pair| !["cursor", "rate"].contains(&pair.split('=').next().unwrap_or_default()));
    pairs.sort_unstable();
    pairs.join("&")
}
