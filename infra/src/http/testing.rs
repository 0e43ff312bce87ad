//! For the tests of this folder: an app of some routes, and answers that read well in a snapshot.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

use super::{docs::About, edge::Limits, health::Readiness, server::App, trace::TRACEPARENT};

/// A trace of the client's, so that problems are the same in each run.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(super) fn app(routes: Router) -> Router {
    app_with(routes, Limits::default())
}

pub(super) fn app_with(routes: Router, limits: Limits) -> Router {
    whole(routes, limits).router()
}

/// With the listener for operations.
pub(super) fn whole(routes: Router, limits: Limits) -> App {
    let about = About { title: "Test", description: "For tests", version: "1" };
    App::new(&about, OpenApiRouter::from(routes), Readiness::new(), limits)
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    pub(super) async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
        Self { status: head.status, headers: head.headers, body }
    }

    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Status and body, without the trace id.
    pub(super) fn text(mut self) -> String {
        if let Some(body) = self.body.as_object_mut() {
            body.remove("trace_id");
        }
        format!("{} {:#}", self.status.as_u16(), self.body)
    }
}

pub(super) async fn send(app: &Router, request: Request<Body>) -> Answer {
    Answer::of(app.clone().oneshot(request).await.unwrap()).await
}

pub(super) async fn get(app: &Router, path: &str) -> Answer {
    let request = Request::get(path).header(TRACEPARENT, TRACE);
    send(app, request.body(Body::empty()).unwrap()).await
}

pub(super) async fn post(app: &Router, path: &str, json: impl Into<Body>) -> Answer {
    let request = Request::post(path)
        .header(TRACEPARENT, TRACE)
        .header(header::CONTENT_TYPE, "application/json");
    send(app, request.body(json.into()).unwrap()).await
}
