//! Everything that happens to every request, in one layer: ids, deadline, limit, panics, metrics.
//!
//! One layer and not a stack of them, because each layer of a router costs an allocation and a
//! dynamic call per request.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service};
use tracing::{Level, debug, enabled};

use super::{
    demand::Demand,
    events::{HandlerPanicked, REQUEST_SECONDS, RequestShed},
    negotiate::Produced,
    problem::Problem,
    rates::{Limiter, Ticket, Weight},
    trace::{REQUEST_ID, RequestContext, TRACEPARENT, TraceContext},
};
use crate::{
    config::{self, Rates},
    task::panic_message,
    telemetry::emit,
};

/// What is left to a handler beyond its deadline to say so itself, before it is cut off.
const GRACE: Duration = Duration::from_millis(500);

/// What a service takes on at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub request_wait_max: Duration,
    /// Requests under way at once. More are refused: better a quick no than a late answer.
    pub requests_max: usize,
    /// What each client may ask.
    pub rates: Rates,
    /// What requests weigh in it that are dearer than others.
    pub weights: &'static [Weight],
}

impl Default for Limits {
    fn default() -> Self {
        (&config::Http::local()).into()
    }
}

impl From<&config::Http> for Limits {
    fn from(settings: &config::Http) -> Self {
        Self {
            request_wait_max: settings.request_wait_max,
            requests_max: settings.requests_max,
            rates: settings.rates,
            weights: &[],
        }
    }
}

/// Wraps a router's routes.
#[derive(Clone, Debug)]
pub struct EdgeLayer {
    limits: Limits,
    produced: Arc<Produced>,
    under_way: Arc<AtomicUsize>,
    limiter: Option<Arc<Limiter>>,
}

impl EdgeLayer {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limiter = (limits.rates != Rates::NONE).then(|| Arc::new(Limiter::new(limits.rates)));
        Self { limits, produced: Arc::default(), under_way: Arc::default(), limiter }
    }

    /// Knows what the routes answer with, and refuses whoever cannot read that.
    #[must_use]
    pub(super) fn producing(self, produced: Produced) -> Self {
        Self { produced: Arc::new(produced), ..self }
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, shared: self.clone(), series: Arc::default() }
    }
}

/// One route behind the layer.
#[derive(Clone, Debug)]
pub struct Edge<S> {
    inner: S,
    shared: EdgeLayer,
    series: Arc<Series>,
}

impl<S> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let started = Instant::now();
        let trace = TraceContext::from_headers(request.headers());
        let context = RequestContext::new(trace, started, self.shared.limits.request_wait_max);
        let request_id = request_id(request.headers(), context);
        let method = request.method().clone();
        let path = enabled!(Level::DEBUG).then(|| request.uri().path().to_owned());
        self.series.name(&request);
        let (ticket, refused) = self.enter(&mut request);
        let demand = Demand::of(&request);
        let series = Arc::clone(&self.series);
        let slot = Slot::take(&self.shared);
        let fit = refused.map_or_else(|| self.shared.produced.check(&request), Err);
        // The service that is ready is the one to call; its clone may not be.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(context.scope(async move {
            let mut response = match (&slot, fit) {
                (Some(_), Ok(())) => answer(inner.call(request), context.deadline).await,
                (Some(_), Err(unfit)) => unfit.into_response(),
                (None, _) => {
                    emit(RequestShed);
                    Problem::overloaded().into_response()
                }
            };
            drop(slot);
            if let Some(demand) = demand {
                response = demand.met_by(response);
            }
            polish(&mut response);
            if let Some(ticket) = ticket {
                ticket.end(response.headers_mut());
            }
            sign(response.headers_mut(), request_id, context);
            let elapsed = started.elapsed();
            series.record(&method, response.status(), elapsed);
            if let Some(path) = path {
                let status = response.status().as_u16();
                debug!(%method, path, status, "{method} {path} {status} {elapsed:?}");
            }
            Ok(response)
        }))
    }
}

/// The answer to a request that is not let in.
pub(super) fn refusal(headers: &HeaderMap, problem: Problem) -> Response {
    let trace = TraceContext::from_headers(headers);
    let context = RequestContext::new(trace, Instant::now(), Duration::ZERO);
    let mut response = context.sync_scope(|| problem.into_response());
    sign(response.headers_mut(), request_id(headers, context), context);
    polish(&mut response);
    response
}

/// What holds of all answers: browsers do not guess what they are.
pub(super) fn polish(response: &mut Response) {
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
}

/// The answer to a method that a path does not have: `OPTIONS` asks which it has, and the router
/// tells in `Allow`.
pub(super) async fn other_method(method: Method) -> Response {
    match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => Problem::method_not_allowed().into_response(),
    }
}

/// The answer to a path that is not there, but for `*`, which is the whole server.
pub(super) async fn other_path(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS && uri.path() == "*" {
        let all = HeaderValue::from_static("GET,HEAD,POST,PUT,PATCH,DELETE");
        return (StatusCode::NO_CONTENT, [(header::ALLOW, all)]).into_response();
    }
    Problem::not_found("there is nothing at this path").into_response()
}

impl<S> Edge<S> {
    /// Whether the client may ask, as far as that is known before its key is.
    fn enter(&self, request: &mut Request) -> (Option<Ticket>, Option<Problem>) {
        let Some(limiter) = &self.shared.limiter else { return (None, None) };
        let (weights, route) = (self.shared.limits.weights, self.series.route());
        let weight = Weight::find(weights, route, request.method(), request.uri());
        let (ticket, refused) = limiter.enter(request, weight);
        request.extensions_mut().insert(ticket.clone());
        (Some(ticket), refused)
    }
}

/// The handler's answer, or the problem that stands for it if it panics or takes too long.
async fn answer(
    future: impl Future<Output = Result<Response, Infallible>>,
    deadline: Instant,
) -> Response {
    match timeout_at(deadline + GRACE, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => {
            let message = panic_message(&*panic);
            emit(HandlerPanicked { message: &message });
            Problem::bug().into_response()
        }
        Err(_) => Problem::deadline_exceeded().into_response(),
    }
}

/// The client's own id of the request if it is printable and short, else the trace's.
fn request_id(headers: &HeaderMap, context: RequestContext) -> HeaderValue {
    const LENGTH_MAX: usize = 128;
    let sent = headers.get(REQUEST_ID).filter(|id| {
        (1..=LENGTH_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    sent.cloned().unwrap_or_else(|| ascii(context.trace.trace_id()))
}

fn sign(headers: &mut HeaderMap, request_id: HeaderValue, context: RequestContext) {
    headers.insert(REQUEST_ID, request_id);
    headers.insert(TRACEPARENT, ascii(context.trace.to_string()));
}

/// Hex digits and dashes always make a header.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// A place among the requests under way; dropping it makes room, also when a client hangs up.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(edge: &EdgeLayer) -> Option<Self> {
        let before = edge.under_way.fetch_add(1, Ordering::Relaxed);
        // Made first, so that a refusal gives its own count back.
        let slot = Self(Arc::clone(&edge.under_way));
        (before < edge.limits.requests_max).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The metric's series of one route, looked up once each.
#[derive(Debug, Default)]
struct Series {
    route: OnceLock<String>,
    by_answer: RwLock<Vec<((&'static str, StatusCode), metrics::Histogram)>>,
}

impl Series {
    fn name(&self, request: &Request) {
        self.route.get_or_init(|| {
            let path = request.extensions().get::<MatchedPath>();
            path.map_or("unmatched", MatchedPath::as_str).to_owned()
        });
    }

    fn route(&self) -> &str {
        self.route.get().map_or("", String::as_str)
    }

    fn record(&self, method: &Method, status: StatusCode, elapsed: Duration) {
        let key = (method_label(method), status);
        let known = self.by_answer.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, histogram)) = known.iter().find(|(known, _)| *known == key) {
            return histogram.record(elapsed.as_secs_f64());
        }
        drop(known);
        let route = self.route.get().cloned().unwrap_or_default();
        let labels = [
            ("route", route),
            ("method", key.0.to_owned()),
            ("status", status.as_u16().to_string()),
        ];
        let histogram = REQUEST_SECONDS.handle(&labels);
        histogram.record(elapsed.as_secs_f64());
        self.by_answer.write().unwrap_or_else(PoisonError::into_inner).push((key, histogram));
    }
}

/// Clients may make methods up; labels come from a closed set.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
