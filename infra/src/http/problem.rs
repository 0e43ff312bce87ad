//! The only shape of an error: problem details (RFC 9457).
//!
//! A problem says outside what a client can use and keeps inside what a log needs. It has no
//! `Display`, so that `{}` cannot leak a host name or SQL.
//!
//! **Invariant:** `code` is stable and decides `type` and `title`; the trace id joins the answer
//! to the log.

mod catalog;

use std::{borrow::Cow, error::Error, time::Duration};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{events::RequestFailed, trace::RequestContext};
use crate::telemetry;

/// Bytes of a detail, which may quote what was sent.
const DETAIL_BYTES_MAX: usize = 1024;
/// Bytes of a pointer. Names in it may be the client's own, and as long as a body.
pub(super) const POINTER_BYTES_MAX: usize = 256;
/// Bytes of what is said of one field, which may quote what was sent.
const FIELD_BYTES_MAX: usize = 512;

/// An answer that is a no, and why.
///
/// Boxed inside, so that a `Result` with it stays small.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: HeaderMap,
    /// For the log only.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// As it goes over the wire.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Body<'a> {
    /// `urn:tradewind:problem:<code>`
    #[serde(rename = "type")]
    #[schema(example = "urn:tradewind:problem:invalid_field")]
    kind: String,
    /// The code in words.
    #[schema(example = "Invalid field")]
    title: String,
    #[schema(example = 422)]
    status: u16,
    /// What is wrong with this very request.
    detail: &'a str,
    /// Stable, for machines.
    #[schema(example = "invalid_field")]
    code: &'a str,
    /// Quote it when you ask for help.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    trace_id: Option<String>,
    /// One entry per field that is wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `/<name>` of a parameter.
    #[schema(value_type = String, example = "/lines/0/quantity")]
    pub pointer: Cow<'static, str>,
    /// Stable, for machines.
    #[schema(value_type = String, example = "out_of_range")]
    pub code: Cow<'static, str>,
    #[schema(value_type = String, example = "must be between 1 and 10000")]
    pub detail: Cow<'static, str>,
}

impl Problem {
    fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            status,
            code: code.into(),
            detail: bounded(detail.into(), DETAIL_BYTES_MAX),
            errors: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// Keeps what really happened for the log; the client does not see it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Tells the client when to try again.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }

    /// A header of the answer, such as the position that it reflects.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// When the client should try again, if it was told.
    pub(in crate::http) fn retry_after_seconds(&self) -> Option<&str> {
        self.0.headers.get(header::RETRY_AFTER)?.to_str().ok()
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The JSON of the body, for answers that are not an HTTP response of their own.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.body()).unwrap_or_default()
    }

    fn body(&self) -> Body<'_> {
        let Inner { status, code, detail, errors, .. } = &*self.0;
        Body {
            kind: format!("urn:tradewind:problem:{code}"),
            title: title(code),
            status: status.as_u16(),
            detail,
            code,
            trace_id: RequestContext::current().map(|context| context.trace.trace_id()),
            errors,
        }
    }
}

/// `stock.insufficient` becomes `Stock insufficient`: one rule instead of a table of titles.
fn title(code: &str) -> String {
    let words = code.replace(['_', '.'], " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.0.status.is_server_error() {
            let cause = self.0.cause.as_deref().map(|cause| cause as &(dyn Error + 'static));
            telemetry::emit(RequestFailed { status: self.0.status, code: self.code(), cause });
        }
        // A struct of strings and numbers always serialises.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl FieldError {
    /// What is longer than an answer can use is cut, and ends with `…`.
    pub(super) fn new(
        pointer: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            pointer: bounded(pointer.into(), POINTER_BYTES_MAX),
            code: code.into(),
            detail: bounded(detail.into(), FIELD_BYTES_MAX),
        }
    }
}

/// The text, or as much of it as fits, with a sign that there was more.
pub(super) fn bounded(text: Cow<'static, str>, bytes_max: usize) -> Cow<'static, str> {
    if text.len() <= bytes_max {
        return text;
    }
    format!("{}…", text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests;
