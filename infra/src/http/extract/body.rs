//! Whole bodies, up to a limit.

use std::{error::Error, iter};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout_at;

use crate::http::{problem::Problem, server::Stalled, trace::RequestContext};

/// A larger body is refused: 413.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The whole body of a request.
///
/// # Errors
/// 413 beyond [`BODY_BYTES_MAX`], 408 if it has not come by the request's deadline, 400 if the
/// client broke off.
pub async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok());
    // Refused before it is read: the client learns of it before it has sent it all.
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Problem::body_too_large(BODY_BYTES_MAX));
    }
    let body = Limited::new(body, BODY_BYTES_MAX).collect();
    let Ok(body) = timeout_at(RequestContext::deadline_now(), body).await else {
        let detail = "the body did not come in time; nothing has happened";
        return Err(Problem::request_timeout(detail));
    };
    match body {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Problem::body_too_large(BODY_BYTES_MAX))
        }
        Err(error) if is_stalled(&*error) => {
            Err(Problem::request_timeout("the body did not go on; nothing has happened"))
        }
        Err(error) => {
            let problem = Problem::bad_request("incomplete_body", "the body broke off");
            Err(problem.caused_by(error))
        }
    }
}

/// Whether a body ended because its client did not go on.
#[must_use]
pub fn is_stalled(error: &(dyn Error + 'static)) -> bool {
    iter::successors(Some(error), |&error| error.source()).any(|error| error.is::<Stalled>())
}
