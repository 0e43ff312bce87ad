//! One line of a batch: a command that goes through the routes as if it had come alone.

use axum::{
    Router,
    body::Body,
    http::{
        HeaderValue, Method, Request, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use infra::http::{
    extract::{PartOfChecked, Payload},
    fields::{Fields, Validate},
    headers::{IDEMPOTENCY_KEY, IdempotencyKey},
    problem::Problem,
    trace::{RequestContext, TRACEPARENT},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tower::ServiceExt;

use super::sequencer::Touches;
use crate::engine::patiently;

/// Who sends the batch, in which request.
#[derive(Clone)]
pub(super) struct Origin {
    /// As the batch had it: each line is asked anew whether it still holds.
    pub(super) authorization: Option<HeaderValue>,
    /// Of the batch, for lines without one.
    pub(super) key: Option<IdempotencyKey>,
    pub(super) request: RequestContext,
}

impl Origin {
    /// The answer to a line that no route has seen.
    pub(super) async fn refuse(&self, index: usize, problem: Problem) -> Bytes {
        self.request.scope(async { answer(index, problem.into_response()).await }).await
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    idempotency_key: Option<String>,
    method: String,
    path: String,
    if_match: Option<String>,
    if_none_match: Option<String>,
    body: Option<Box<RawValue>>,
}

impl Validate for Text {
    fn validate(&self, fields: &mut Fields) {
        let known = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE");
        fields.check("/method", "unknown_value", known, "must be POST, PUT, PATCH or DELETE");
        let detail = "must be the path of a command such as /v1/carts";
        fields.check("/path", "invalid", self.path.starts_with("/v1/"), detail);
    }
}

/// A line that can be tried.
pub(super) struct Line {
    request: Request<Body>,
    touches: Touches,
}

/// # Errors
/// What is wrong with the line itself, before any route has seen it.
pub(super) fn parse(line: Bytes) -> Result<Line, Problem> {
    let Text { idempotency_key, method, path, if_match, if_none_match, body } =
        Payload::<Text>::parse(line)?.value;
    let named = body.as_ref().and_then(|body| serde_json::from_str(body.get()).ok());
    let touches = Touches::of(&path, named.unwrap_or_default());
    let body = body.map(|body| Bytes::from(String::from(Box::<str>::from(body))));
    let mut request = Request::new(Body::from(body.unwrap_or_default()));
    *request.method_mut() = method.parse::<Method>().map_err(|error| unfit("/method", &error))?;
    *request.uri_mut() = path.parse::<Uri>().map_err(|error| unfit("/path", &error))?;
    request.extensions_mut().insert(PartOfChecked);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let named = [
        (IDEMPOTENCY_KEY, idempotency_key, "/idempotency_key"),
        (IF_MATCH, if_match, "/if_match"),
        (IF_NONE_MATCH, if_none_match, "/if_none_match"),
    ];
    for (name, value, at) in named {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::try_from(value).map_err(|error| unfit(at, &error))?);
        }
    }
    Ok(Line { request, touches })
}

fn unfit(at: &'static str, error: &dyn std::fmt::Display) -> Problem {
    Problem::invalid_field(at, "invalid", error.to_string())
}

impl Line {
    pub(super) fn touches(&self) -> Touches {
        self.touches.clone()
    }

    /// The line's answer, and whether it stands: a failure of ours may be another answer later.
    pub(super) async fn run(self, index: usize, routes: Router, origin: &Origin) -> (Bytes, bool) {
        let mut request = self.request;
        if let Ok(traceparent) = HeaderValue::try_from(origin.request.trace.to_string()) {
            request.headers_mut().insert(TRACEPARENT, traceparent);
        }
        let headers = request.headers_mut();
        if let Some(authorization) = &origin.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(key) = &origin.key
            && !headers.contains_key(IDEMPOTENCY_KEY)
            && let Ok(key) = HeaderValue::try_from(key.of_part(index).as_str())
        {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let response = match patiently(routes.oneshot(request)).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let stands = !response.status().is_server_error();
        (answer(index, response).await, stands)
    }
}

async fn answer(index: usize, response: Response) -> Bytes {
    let status = response.status().as_u16();
    // Handlers answer from memory, so there is nothing that could fail.
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body: &[u8] = if body.is_empty() { b"null" } else { &body };
    let head = format!("{{\"index\":{index},\"status\":{status},\"body\":");
    [head.as_bytes(), body, b"}\n"].concat().into()
}
