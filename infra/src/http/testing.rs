//! For tests of routes: an app of some, requests to it, and answers with all that a test may look at.
#![expect(clippy::expect_used, reason = "what is no answer fails the test that asks")]

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Request, header},
    response::Response,
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

use super::{docs::About, edge::Limits, health::Readiness, server::App, trace::TRACEPARENT};

/// A trace of the client's, so that problems are the same in each run.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub fn app(routes: Router) -> Router {
    app_with(routes, Limits::default())
}

pub fn app_with(routes: Router, limits: Limits) -> Router {
    whole(routes, limits).router()
}

/// With the listener for operations.
pub fn whole(routes: impl Into<OpenApiRouter>, limits: Limits) -> App {
    ready_when(Readiness::new(), routes, limits)
}

/// The same with conditions.
pub fn ready_when(readiness: Readiness, routes: impl Into<OpenApiRouter>, limits: Limits) -> App {
    let about = About { title: "Test", description: "For tests", version: "1" };
    App::new(&about, routes.into(), readiness, limits)
}

/// An answer, as a client sees it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// What came, as JSON; text that is none as a string.
    pub body: Value,
    pub raw: String,
}

impl Answer {
    #[must_use]
    pub fn new(status: u16, headers: HeaderMap, body: &Bytes) -> Self {
        let raw = String::from_utf8_lossy(body).into_owned();
        let body = serde_json::from_str(&raw).unwrap_or_else(|_| raw.as_str().into());
        Self { status, headers, body, raw }
    }

    /// # Panics
    /// The body breaks off.
    pub async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Self::new(head.status.as_u16(), head.headers, &body)
    }

    /// The answer itself, if it has this status.
    ///
    /// # Panics
    /// With the body when it has another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.raw);
        self
    }

    /// The answer itself, if it is a problem with this status and code.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.raw);
        assert_eq!((self.status, self.code()), (status, code), "{}", self.raw);
        assert_eq!(self.text("/type"), format!("urn:tradewind:problem:{code}"));
        self
    }

    /// The answer itself, if it refuses a request for what first stands there.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn expect_invalid(self, pointer: &str) -> Self {
        let seen = self.expect_problem(422, "invalid_field");
        assert_eq!(seen.body["errors"][0]["pointer"], pointer, "{}", seen.raw);
        seen
    }

    /// Of a problem, empty if it is none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A header, empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A string in the body, by JSON pointer.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        assert!(text.is_some(), "no string at {pointer} in {}", self.body);
        text.unwrap_or_default()
    }

    /// Status and body, without the trace id.
    #[must_use]
    pub fn told(mut self) -> String {
        if let Some(body) = self.body.as_object_mut() {
            body.remove("trace_id");
        }
        format!("{} {}", self.status, self.body)
    }
}

/// # Panics
/// As [`Answer::of`].
pub async fn send(app: &Router, request: Request<Body>) -> Answer {
    let Ok(response) = app.clone().oneshot(request).await;
    Answer::of(response).await
}

/// # Panics
/// The path is none.
pub async fn get(app: &Router, path: &str) -> Answer {
    let request = Request::get(path).header(TRACEPARENT, TRACE);
    send(app, request.body(Body::empty()).expect("a path")).await
}

/// # Panics
/// The path is none.
pub async fn post(app: &Router, path: &str, json: impl Into<Body>) -> Answer {
    let request = Request::post(path)
        .header(TRACEPARENT, TRACE)
        .header(header::CONTENT_TYPE, "application/json");
    send(app, request.body(json.into()).expect("a path")).await
}
