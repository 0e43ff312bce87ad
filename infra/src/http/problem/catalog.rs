//! Every problem that Tradewind itself has a word for. Business rejections bring their own codes.

use std::{borrow::Cow, error::Error, time::Duration};

use axum::http::{HeaderValue, StatusCode, header};
use domain::api_key::Role;

use super::{FieldError, Problem};

/// What the client should do is the same for most that passes by itself: try again soon.
const RETRY_WAIT: Duration = Duration::from_secs(1);

impl Problem {
    /// 400: the request is not even readable.
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 422: fields that are wrong, all of them.
    #[must_use]
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let detail = match &*errors {
            [one] if one.pointer.is_empty() => format!("the body: {}", one.detail),
            [one] => format!("`{}`: {}", one.pointer, one.detail),
            more => format!("{} fields are invalid", more.len()),
        };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", detail);
        problem.0.errors = errors;
        problem
    }

    /// 422: one field that is wrong.
    #[must_use]
    pub fn invalid_field(
        pointer: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::invalid_fields(vec![FieldError::new(pointer, code, detail)])
    }

    /// A business rule or a state said no; `code` and `detail` are the domain's.
    #[must_use]
    pub fn rejected(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(status, code, detail)
    }

    /// 401: there is no valid key.
    #[must_use]
    pub fn invalid_key() -> Self {
        Self::challenge("invalid_key", "the API key is unknown, expired or revoked")
    }

    /// 401: there is no key at all, and this needs one.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::challenge("unauthenticated", "send an API key as `Authorization: Bearer <key>`")
    }

    fn challenge(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail).header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"tradewind\""),
        )
    }

    /// 403: the caller lacks a role.
    #[must_use]
    pub fn forbidden(needed: Role) -> Self {
        let detail = format!("this needs the role `{}`", needed.as_str());
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: it is not there, or not the caller's to see.
    #[must_use]
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 405. The router adds `Allow`.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let detail = "this path exists, but not for this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// 408: the client took too long to say what it wants; nothing has happened.
    #[must_use]
    pub fn request_timeout(detail: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
    }

    /// 409: the state stands in the way.
    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 412: `If-Match` named another revision.
    #[must_use]
    pub fn precondition_failed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    }

    /// 413.
    #[must_use]
    pub fn body_too_large(bytes_max: usize) -> Self {
        let detail = format!("a body may have at most {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// 415.
    #[must_use]
    pub fn unsupported_media_type(expected: &'static str) -> Self {
        let detail = format!("the body must be {expected}; say so in Content-Type");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 414.
    #[must_use]
    pub(in crate::http) fn uri_too_long(bytes_max: usize) -> Self {
        let detail = format!("path and query may have at most {bytes_max} bytes");
        Self::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail)
    }

    /// 415: bodies are taken as they are.
    #[must_use]
    pub(in crate::http) fn unsupported_encoding() -> Self {
        let detail = "a body is taken as it is: send it without Content-Encoding";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", detail)
    }

    /// 406: what this is answered with is not what the client can read.
    #[must_use]
    pub(in crate::http) fn not_acceptable(produced: &[String]) -> Self {
        let detail = format!("this is answered as {}; Accept leaves that out", produced.join(", "));
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    }

    /// 422: the key was used for another request.
    #[must_use]
    pub fn idempotency_key_reused() -> Self {
        let detail = "this Idempotency-Key was used for another request; take a new one";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    }

    /// 429: the client has used up what it may ask; nothing has happened.
    #[must_use]
    pub fn rate_limited(wait: Duration) -> Self {
        let detail =
            "you have asked for more than your part; nothing has happened, come again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(wait)
    }

    /// 429: the client's address has its share of connections.
    #[must_use]
    pub(in crate::http) fn too_many_connections() -> Self {
        let detail = "your address has its share of connections; use those that it has";
        Self::too_many("too_many_connections", detail)
    }

    /// 429: the client has its share of what it asks for.
    #[must_use]
    pub fn too_many(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(RETRY_WAIT)
    }

    /// 431.
    #[must_use]
    pub fn head_too_large(bytes_max: usize) -> Self {
        let detail = format!("a request's head may have at most {bytes_max} bytes");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", detail)
    }

    /// 500: a bug. The client gets the trace id, the log gets the cause.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::bug().caused_by(cause)
    }

    /// 500 whose cause is logged already.
    pub(in crate::http) fn bug() -> Self {
        let detail = "something went wrong on our side; quote the trace id when you report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// 503: something that this needs is away; it did not happen and may be sent again.
    #[must_use]
    pub fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_WAIT)
    }

    /// 503: more requests than can be served.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::unavailable("overloaded", "too many requests are under way; try again shortly")
    }

    /// 503: the answer did not come in time, so nobody knows whether it happened.
    #[must_use]
    pub fn deadline_exceeded() -> Self {
        let detail = "the answer took too long and may still come true; \
                      send the same request with the same Idempotency-Key again";
        Self::unavailable("deadline_exceeded", detail)
    }

    /// 503: neither yes nor no, for what is known of API keys is too old to tell.
    #[must_use]
    pub fn key_unknown_yet() -> Self {
        let detail = "whether the API key is valid is not known here now; ask again shortly";
        Self::unavailable("stale", detail)
    }

    /// 503: the read models have not come as far as the client asked for.
    #[must_use]
    pub fn stale() -> Self {
        let detail = "what you wrote is not visible here yet; ask again, or wait longer with \
                      `Prefer: wait=<seconds>`";
        Self::unavailable("stale", detail)
    }
}
