//! What only some clients ask for: compressed answers, and answers to pages of other origins.
//!
//! A request that asks for neither takes the short way.

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request, header},
    response::Response,
};
use tower::Service;
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
    cors::{AllowHeaders, AllowOrigin, CorsLayer},
};

use crate::{
    config::Origins,
    http::{
        headers::{IDEMPOTENCY_REPLAYED, POSITION},
        trace::{REQUEST_ID, TRACEPARENT},
    },
};

/// Shorter bodies fit a packet as they are.
const COMPRESSED_BYTES_MIN: u16 = 1024;
/// Of all three codings: most of what there is to gain, at a fraction of the time.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(4);
/// How long a browser need not ask again whether it may ask.
const PREFLIGHT_AGE: std::time::Duration = std::time::Duration::from_hours(1);

/// Headers of answers that a script may see.
const TOLD: [HeaderName; 10] = [
    header::ETAG,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    IDEMPOTENCY_REPLAYED,
    POSITION,
    REQUEST_ID,
    TRACEPARENT,
];

/// A service's routes behind both ways.
#[derive(Clone, Debug)]
pub(super) struct Front {
    short: Router,
    long: Router,
    /// Every answer says that it depends on the origin.
    always_long: bool,
}

impl Front {
    pub(super) fn new(router: Router, origins: &Origins) -> Self {
        let long = router.clone().layer(compression());
        let (long, always_long) = match cross_origin(origins) {
            Some(cors) => (long.layer(cors), true),
            None => (long, false),
        };
        Self { short: router, long, always_long }
    }

    pub(super) async fn call(&mut self, request: Request<Body>) -> Result<Response, Infallible> {
        let long = self.always_long || request.headers().contains_key(header::ACCEPT_ENCODING);
        let routes = if long { &mut self.long } else { &mut self.short };
        routes.call(request).await
    }
}

/// What comes bit by bit is not held back to be compressed, and images are compressed already.
///
/// An entity's tag stays as it is: it names a revision, whatever the coding, which `Vary` tells
/// caches. A weak one would be of no use in `If-Match`.
fn compression() -> CompressionLayer<impl Predicate> {
    let predicate = SizeAbove::new(COMPRESSED_BYTES_MIN)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new("application/x-ndjson"));
    CompressionLayer::new().quality(COMPRESSION).compress_when(predicate)
}

fn cross_origin(origins: &Origins) -> Option<CorsLayer> {
    let allowed = match origins {
        Origins::None => return None,
        Origins::Any => AllowOrigin::any(),
        Origins::These(origins) => AllowOrigin::list(
            origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()),
        ),
    };
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let cors = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(methods)
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(TOLD)
        .max_age(PREFLIGHT_AGE);
    Some(cors)
}
