//! `GET /v1/schemas…` and `GET /asyncapi.json`: what events look like. They tell of nobody, so anybody may
//! read them, as `/openapi.json`.

use axum::{extract::State, response::Response};
use infra::http::{extract::Path, problem::Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::read::{AppState, ReadFixed};
use crate::schemas::List;

/// A name that no type of ours comes near is longer.
const TYPE_LENGTH_MAX: usize = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfType {
    /// As `type` of an event has it.
    #[serde(rename = "type")]
    #[param(
        inline, value_type = String, max_length = 200, example = "tradewind.order.placed.v1",
        pattern = "^tradewind[.][a-z_]+[.][a-z_]+[.]v[1-9][0-9]*$",
    )]
    event_type: EventType,
}

/// What may be the type of an event.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct EventType(String);

impl TryFrom<String> for EventType {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let is_version = |text: &str| {
            let digits = text.strip_prefix('v').unwrap_or_default();
            digits.starts_with(|first| ('1'..='9').contains(&first))
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let parts: Vec<_> = text.split('.').collect();
        let valid = matches!(parts.as_slice(), ["tradewind", stream, event, version]
            if is_word(stream) && is_word(event) && is_version(version));
        if valid && text.len() <= TYPE_LENGTH_MAX {
            Ok(Self(text))
        } else {
            Err("must be the type of an event such as tradewind.order.placed.v1")
        }
    }
}

/// The types of events that there are
///
/// All versions of each: older ones are what replays with `raw` show, and what the log itself holds.
#[utoipa::path(
    get,
    operation_id = "list_schemas",
    path = "/v1/schemas",
    tag = "events",
    params(ReadFixed),
    responses(
        (status = OK, body = List, headers(("ETag" = String, description = "Of the document"))),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn list(State(app): State<AppState>, read: ReadFixed) -> Response {
    app.schemas().list().answer(&read.known)
}

/// What the data of one type of event look like
///
/// A JSON Schema (2020-12). `"x-personal": true` marks texts that tell of a person: replays show a
/// pseudonym in their place.
#[utoipa::path(
    get,
    operation_id = "get_schema",
    path = "/v1/schemas/{type}",
    tag = "events",
    params(OfType, ReadFixed),
    responses(
        (status = OK, body = Object, content_type = "application/schema+json", headers(
            ("ETag" = String, description = "Of the document"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn of_type(
    State(app): State<AppState>,
    Path(OfType { event_type: EventType(event_type) }): Path<OfType>,
    read: ReadFixed,
) -> Result<Response, Problem> {
    let found = app.schemas().of_type(&event_type);
    let schema = found.ok_or_else(|| {
        Problem::not_found("this release knows no such type of event: `GET /v1/schemas` lists all")
    })?;
    Ok(schema.answer(&read.known))
}

/// The log as an AsyncAPI document
///
/// The topic, its records and what events look like, for those who read the log itself.
#[utoipa::path(
    get,
    operation_id = "get_asyncapi",
    path = "/asyncapi.json",
    tag = "events",
    params(ReadFixed),
    responses(
        (status = OK, body = Object, content_type = "application/json", headers(
            ("ETag" = String, description = "Of the document"),
        )),
        (status = NOT_MODIFIED, description = "As the client knows it"),
    ),
    security((), ("api_key" = [])),
)]
pub(super) async fn asyncapi(State(app): State<AppState>, read: ReadFixed) -> Response {
    app.schemas().asyncapi().answer(&read.known)
}
