//! `GET /v1/streams…`: what happened to one thing, event by event, and which things changed.

use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse, Response},
};
use domain::{
    StreamType,
    api_key::Role,
    id::{CartId, OrderId, StreamId},
    timestamp::Timestamp,
};
use infra::{
    auth::OpenCart,
    freshness::Projection,
    http::{
        etag::{ETag, IfNoneMatch, not_modified},
        extract::{Path, Query},
        fields::{Fields, Validate},
        page::{Cursor, Limit, ListingBody, Page},
        problem::Problem,
        shapes,
    },
};
use read_models::{journal::JOURNAL, orders::ORDERS};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    read::{AppState, CACHE_CONTROL, ReadRequest, answer},
    shown::{Recorded, shown},
};
use crate::{
    read_model::{Direction, Kept, StreamAfter, StreamRow},
    replay::selection::{Kind, StreamKey},
};

/// Bytes of data from which on a page ends, whatever its limit.
const PAGE_BYTES: usize = 4 << 20;
/// Events that one statement reads.
const READ_MAX: usize = 50;
const READS: &[Projection] = &[JOURNAL.shown()];
/// Whose an order is, another projection says.
const READS_WITH_ORDERS: &[Projection] = &[JOURNAL.shown(), ORDERS.shown()];
/// Who may read all streams.
pub(super) const READERS: [Role; 3] = [Role::Analyst, Role::Staff, Role::Operator];

/// Of which stream.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfStream {
    #[serde(rename = "type")]
    #[param(inline, example = "order")]
    kind: Kind,
    /// What it is called among those of its type: a UUID or a code.
    #[param(inline)]
    id: StreamKey,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParameters {
    /// `asc`: from the first event on; `desc`: from the last one back.
    #[serde(default)]
    #[param(inline, required = false)]
    order: Direction,
    /// Events of one page: 1 to 200, 50 by default.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next` of the page before.
    #[param(inline)]
    cursor: Option<Cursor>,
}

impl Validate for EventParameters {}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParameters {
    #[serde(rename = "type")]
    #[param(inline, example = "order")]
    kind: Kind,
    /// Only streams whose last event was recorded later than this.
    #[param(inline, value_type = Option<shapes::Instant>)]
    changed_after: Option<Timestamp>,
    /// Streams of one page: 1 to 200, 50 by default.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next` of the page before.
    #[param(inline)]
    cursor: Option<Cursor>,
}

impl Validate for StreamParameters {
    fn validate(&self, _: &mut Fields) {}
}

/// A stream, by its last event.
#[derive(Serialize, ToSchema)]
pub(super) struct Stream {
    #[schema(example = "order/01890a5d-ac96-774b-bcce-b302099a8057")]
    stream: String,
    #[serde(rename = "type")]
    #[schema(example = "order")]
    kind: &'static str,
    id: String,
    /// Of its last event.
    #[schema(example = 3)]
    revision: u64,
    /// When its first event was recorded.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// And its last.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

/// What happened to one thing
///
/// The events of a stream, each a CloudEvent as a replay shows it: in the newest version of its type, with
/// pseudonyms for texts that tell of a person. `position` is a `Tradewind-Position` that reaches as far as the
/// event, for `as_of` say.
///
/// For staff and analysts; a cart's stream, and that of the order that it became, also for the guest who holds
/// the cart's token. For others it does not exist.
#[utoipa::path(
    get,
    operation_id = "list_stream_events",
    path = "/v1/streams/{type}/{id}/events",
    tag = "events",
    params(OfStream, EventParameters, OpenCart, ReadRequest, IfNoneMatch),
    responses(
        (status = OK, body = ListingBody<Recorded>, headers(
            ("ETag" = String, description = "Revision of the stream"),
            ("Link" = String, description = "The next page, `rel=\"next\"`"),
            ("Tradewind-Position" = String, description = "What the answer reflects"),
        )),
        (status = NOT_MODIFIED, description = "Nothing has happened since"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn events(
    State(app): State<AppState>,
    Path(OfStream { kind, id }): Path<OfStream>,
    Query(parameters): Query<EventParameters>,
    OriginalUri(uri): OriginalUri,
    open_cart: OpenCart,
    request: ReadRequest,
    Ok(known): Result<IfNoneMatch, std::convert::Infallible>,
) -> Result<Response, Problem> {
    let stream = StreamId::new(kind.0, &id);
    let hidden = || Problem::not_found("there is no such stream, or it is not yours to see");
    let EventParameters { order, limit, cursor } = parameters;
    let page = Page::new(uri, limit.as_ref(), cursor.as_ref())?;
    let after: Option<(Direction, i64)> = page.after()?;
    if after.is_some_and(|(of, _)| of != order) {
        return Err(Problem::bad_request("invalid_cursor", "the cursor is of another `order`"));
    }
    let is_reader = READERS.iter().any(|role| request.caller.has(*role));
    // Who has no token and no role learns nothing, not even whether a journal is kept.
    if !is_reader && open_cart.0.is_none() {
        return Err(hidden());
    }
    let names = app.journal()?;
    let reads = if is_reader { READS } else { READS_WITH_ORDERS };
    let position = app.reach(reads, &request).await?;
    if !is_reader && !is_own(&app, &stream, open_cart).await? {
        return Err(hidden());
    }
    // Before the events, so that what is new in between makes the tag too old and never too new.
    let last = app.read_model().last_revision(&stream).await?.ok_or_else(hidden)?.unsigned_abs();
    if known.matches(last) {
        return Ok((&position, [CACHE_CONTROL], not_modified(last)).into_response());
    }
    let beyond = after.map(|(_, revision)| revision);
    let (events, page) = some(&app, &stream, order, beyond, page).await?;
    let shown = events.iter().map(|it| Ok((it.revision, shown(&stream, it, names, &position)?)));
    let shown = shown.collect::<Result<Vec<_>, Problem>>()?;
    let listing = page.listing(shown, |(revision, _)| (order, *revision)).map(|(_, event)| event);
    Ok((ETag(last), answer(listing, &position)).into_response())
}

/// As many events as the page has, or as few as come to [`PAGE_BYTES`].
async fn some(
    app: &AppState,
    stream: &StreamId,
    order: Direction,
    mut beyond: Option<i64>,
    page: Page,
) -> Result<(Vec<Kept>, Page), Problem> {
    let rows_max = usize::from(page.limit()) + 1;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while events.len() < rows_max && bytes < PAGE_BYTES {
        let wanted = READ_MAX.min(rows_max - events.len());
        let rows = i64::try_from(wanted).unwrap_or(i64::MAX);
        let read = app.read_model().events(stream, order, beyond, rows).await?;
        bytes += read.iter().map(|event| event.data.len()).sum::<usize>();
        beyond = read.last().map(|event| event.revision).or(beyond);
        let is_all = read.len() < wanted;
        events.extend(read);
        if is_all {
            return Ok((events, page));
        }
    }
    let shown = u16::try_from(events.len().saturating_sub(1)).unwrap_or(u16::MAX);
    Ok((events, page.at_most(shown)))
}

/// Whether it is the stream of the caller's cart, or of the order that this became.
async fn is_own(
    app: &AppState,
    stream: &StreamId,
    OpenCart(open): OpenCart,
) -> Result<bool, Problem> {
    let Some(open) = open else { return Ok(false) };
    Ok(match stream.stream_type() {
        Some(StreamType::Cart) => stream.key().parse::<CartId>() == Ok(open),
        Some(StreamType::Order) => match stream.key().parse::<OrderId>() {
            Ok(id) => {
                let order = app.read_model().orders.find(id.uuid()).await?;
                order.is_some_and(|order| order.cart == Some(open))
            }
            Err(_) => false,
        },
        _ => false,
    })
}

/// Which things changed
///
/// Streams of one type, those whose last event is the oldest first. Who reads the pages again with the last
/// `changed_at` as `changed_after` sees what has changed since.
#[utoipa::path(
    get,
    operation_id = "list_streams",
    path = "/v1/streams",
    tag = "events",
    params(StreamParameters, ReadRequest),
    responses((status = OK, body = ListingBody<Stream>, headers(
        ("Link" = String, description = "The next page, `rel=\"next\"`"),
        ("Tradewind-Position" = String, description = "What the answer reflects"),
    ))),
    security(("api_key" = ["analyst"]), ("api_key" = ["staff"])),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Query(parameters): Query<StreamParameters>,
    OriginalUri(uri): OriginalUri,
    request: ReadRequest,
) -> Result<Response, Problem> {
    let StreamParameters { kind: Kind(kind), changed_after, limit, cursor } = parameters;
    let page = Page::new(uri, limit.as_ref(), cursor.as_ref())?;
    let after: Option<StreamAfter> = page.after()?;
    app.journal()?;
    let position = app.reach(READS, &request).await?;
    let rows_max = i64::from(page.limit()) + 1;
    let (streams, up_to) =
        app.read_model().streams(kind, changed_after, after.as_ref(), rows_max).await?;
    let listing = page.listing_up_to(streams, StreamRow::after, up_to.as_ref());
    let listing = listing.map(|row| Stream::of(kind, row));
    Ok(answer(listing, &position))
}

impl Stream {
    fn of(kind: StreamType, row: StreamRow) -> Self {
        let StreamRow { key, revision, created_at, changed_at } = row;
        let kind = kind.as_str();
        Self {
            stream: format!("{kind}/{key}"),
            kind,
            id: key,
            // Counted from one.
            revision: revision.unsigned_abs(),
            created_at: created_at.into(),
            changed_at: changed_at.into(),
        }
    }
}
