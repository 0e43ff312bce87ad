//! Answers: what was read, and the position that it reflects.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use infra::{
    http::etag::{ETag, IfNoneMatch, not_modified},
    position::Position,
};

use crate::read_model::Entity;

/// Answers depend on who asks and change at any time: only their reader may keep them, and must ask
/// whether they still hold.
const CACHE_CONTROL: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
const JSON: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));

/// One thing; 304 if the client has it already.
pub(super) fn entity(entity: Entity, position: &Position, known: &IfNoneMatch) -> Response {
    let Entity { revision, body } = entity;
    if known.matches(revision) {
        return (position, [CACHE_CONTROL], not_modified(revision)).into_response();
    }
    (position, ETag(revision), [CACHE_CONTROL, JSON], body).into_response()
}

/// Anything else.
pub(super) fn list(body: impl IntoResponse, position: &Position) -> Response {
    (position, [CACHE_CONTROL], body).into_response()
}
