//! Bodies: whole ones, up to a limit, and what they hold as JSON.

use std::{error::Error, iter};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Deserializer;
use tokio::time::timeout_at;

use super::{document, pointer, shape::Shape};
use crate::http::{
    fields::{Fields, Validate},
    problem::Problem,
    server::Stalled,
    syntax::content_type,
    trace::RequestContext,
};

/// A larger body is refused: 413.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// A request's JSON body, checked. An empty body counts as `{}`.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

/// The same along with the bytes that it was read from, which a request's hash needs.
#[derive(Clone, Debug)]
pub struct Payload<T> {
    pub value: T,
    pub bytes: Bytes,
}

impl<T> Payload<T>
where
    T: DeserializeOwned + Validate,
{
    /// Parses and checks a body that did not come as a request of its own, such as a batch's line.
    ///
    /// # Errors
    /// 400 for what is not JSON, 422 for wrong fields.
    pub fn parse(bytes: Bytes) -> Result<Self, Problem> {
        let mut fields = Fields::default();
        document::check(text(&bytes), &mut fields)?;
        Self::read(bytes, fields)
    }

    fn read(bytes: Bytes, mut fields: Fields) -> Result<Self, Problem> {
        let value = match T::deserialize(Shape(&mut Deserializer::from_slice(text(&bytes)))) {
            Ok(value) => value,
            // To keep track of where one is costs more than a second try of the few that fail.
            Err(_) => located(&bytes)?,
        };
        value.validate(&mut fields);
        fields.finish()?;
        Ok(Self { value, bytes })
    }
}

/// A request's extension: its body is a part of a document that [`Payload::parse`] has read.
#[derive(Clone, Copy, Debug)]
pub struct PartOfChecked;

fn text(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { b"{}" } else { bytes }
}

/// # Errors
/// 422 that says where the document does not fit the type.
fn located<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let value = serde_path_to_error::deserialize(Shape(&mut Deserializer::from_slice(text(bytes))));
    value.map_err(|error| refusal(&error))
}

impl<T> Payload<T>
where
    T: Serialize + DeserializeOwned + Validate,
{
    /// Parses a body whose shape is somebody else's: what `T` does not know is left out before anything
    /// is checked, and may be whatever it likes.
    ///
    /// # Errors
    /// As [`Payload::parse`], for what `T` knows.
    pub fn parse_known(bytes: Bytes) -> Result<Self, Problem> {
        let mut deserializer = Deserializer::from_slice(&bytes);
        let known = serde_path_to_error::deserialize(Shape(&mut deserializer));
        let known: T = known.map_err(|error| refusal(&error))?;
        deserializer.end().map_err(|error| document::malformed(&error))?;
        let known = serde_json::to_vec(&known).map_err(Problem::internal)?;
        Ok(Self { value: Self::parse(known.into())?.value, bytes })
    }
}

impl<S, T> FromRequest<S> for Payload<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let is_json = is_json(&parts.headers);
        let bytes = read_body(&parts.headers, body).await?;
        // A command without a body needs no type for it.
        if !is_json && !bytes.is_empty() {
            Err(Problem::unsupported_media_type("application/json"))
        } else if parts.extensions.get::<PartOfChecked>().is_some() {
            Self::read(bytes, Fields::default())
        } else {
            Self::parse(bytes)
        }
    }
}

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Payload::from_request(request, state).await.map(|payload| Self(payload.value))
    }
}

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

/// `application/json` or `application/<anything>+json`, with whatever parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(essence) = content_type(headers) else { return false };
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
    kind == "application" && suffix == "json"
}

fn refusal(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    if error.inner().is_data() {
        pointer::data_error(error.path(), &error.inner().to_string())
    } else {
        // Not reached by a document that has been read once already.
        document::malformed(error.inner())
    }
}
