//! Request headers that have a meaning of their own, as extractors.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponseParts, ResponseParts},
};
use domain::{envelope::Revision, id::parse_uuid};
use tokio::time::Instant;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    etag,
    problem::Problem,
    syntax::{list, parameter, split},
    trace::RequestContext,
};
use crate::position::Position;

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
pub const POSITION: HeaderName = HeaderName::from_static("tradewind-position");
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The way to a cart for whoever made it.
pub const CART_TOKEN: HeaderName = HeaderName::from_static("tradewind-cart-token");

/// Headers that are no lists. Two values would leave open which one counts, here and for whoever read
/// the request on its way.
const SINGLE: [HeaderName; 5] =
    [header::HOST, header::AUTHORIZATION, header::CONTENT_TYPE, IDEMPOTENCY_KEY, CART_TOKEN];

/// A client's name for one request: 1 to 255 visible characters.
#[derive(Clone, Debug, PartialEq, Eq, IntoParams)]
#[into_params(names("Idempotency-Key"), parameter_in = Header)]
pub struct IdempotencyKey(
    /// Names the request, so that sending it again changes nothing: 1 to 255 visible characters,
    /// kept for 24 hours.
    #[param(inline, value_type = Option<IdempotencyKey>)]
    Arc<str>,
);

/// What `If-Match` and `If-None-Match` ask for, of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Conditions {
    /// Makes the command conditional on the stream's revision, as an `ETag` gave it: one tag or several,
    /// or `*` for any stream that exists.
    #[param(rename = "If-Match", inline)]
    pub if_match: Option<Tags>,
    /// `*` makes the command conditional on that there is nothing yet.
    #[param(rename = "If-None-Match", inline)]
    pub if_none_match: Option<Tags>,
}

/// Entity tags, as far as they are ours: another one never matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`
    Any,
    These(Vec<Revision>),
}

/// How far the answer must see, from `Tradewind-Position`; empty without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(names("Tradewind-Position"), parameter_in = Header)]
pub struct AtLeast(
    /// See at least this far: as the answer of a command gave it, several joined by commas.
    #[param(inline, value_type = Option<AtLeast>)]
    pub Position,
);

/// How long the client would wait for that, from `Prefer: wait=<seconds>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoParams)]
#[into_params(names("Prefer"), parameter_in = Header)]
pub struct PreferWait(
    /// `wait=N`: seconds to wait for that position, 2 by default and 30 at most.
    #[param(value_type = Option<String>, example = "wait=5")]
    pub Duration,
);

impl IdempotencyKey {
    pub(super) const LENGTH_MAX: usize = 255;

    /// # Errors
    /// It is empty, too long, or has characters that cannot be seen.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if visible && (1..=Self::LENGTH_MAX).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            let detail = "an Idempotency-Key has 1 to 255 visible ASCII characters";
            Err(Problem::bad_request("invalid_idempotency_key", detail))
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of a part of the request: the part's number stands behind it. Where that would be too
    /// long for a key, it is the UUID (version 5, in the namespace of URLs) of the same text.
    #[must_use]
    pub fn of_part(&self, number: usize) -> Self {
        let text = format!("{}-{number}", self.0);
        if text.len() <= Self::LENGTH_MAX {
            return Self(text.into());
        }
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).to_string().into())
    }

    /// Whether it is a UUID of a kind that nobody guesses.
    #[must_use]
    pub fn is_random_uuid(&self) -> bool {
        let uuid = parse_uuid(&self.0).ok();
        uuid.is_some_and(|uuid| matches!(uuid.get_version_num(), 4 | 7))
    }
}

/// The key, if the request has one.
impl<S: Send + Sync> axum::extract::OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        let Some(value) = parts.headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
        Self::parse(text(&IDEMPOTENCY_KEY, value)?).map(Some)
    }
}

impl Conditions {
    /// # Errors
    /// A header that is no list of entity tags, or has too many.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self {
            if_match: Self::if_match(headers)?,
            if_none_match: Tags::of(
                headers,
                &header::IF_NONE_MATCH,
                "invalid_if_none_match",
                |tag| Some(tag.strip_prefix("W/").unwrap_or(tag)),
            )?,
        })
    }

    /// # Errors
    /// As [`Conditions::of`].
    pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<Tags>, Problem> {
        // RFC 9110, 13.1.1: compared strongly, so a weak tag matches nothing.
        Tags::of(headers, &header::IF_MATCH, "invalid_if_match", |tag| {
            (!tag.starts_with("W/")).then_some(tag)
        })
    }
}

impl Tags {
    pub(super) const TAGS_MAX: usize = 100;

    fn of(
        headers: &HeaderMap,
        name: &HeaderName,
        code: &'static str,
        compared: impl Fn(&str) -> Option<&str>,
    ) -> Result<Option<Self>, Problem> {
        if !headers.contains_key(name) {
            return Ok(None);
        }
        let texts = headers.get_all(name).iter().map(|value| value.to_str().ok());
        let text = texts.collect::<Option<Vec<&str>>>().unwrap_or_default().join(",");
        if text.trim() == "*" {
            return Ok(Some(Self::Any));
        }
        let tags = etag::tags(&text).filter(|tags| (1..=Self::TAGS_MAX).contains(&tags.len()));
        let Some(tags) = tags else {
            let detail = format!("{name} takes `*`, or entity tags as an ETag header gave them");
            return Err(Problem::bad_request(code, detail));
        };
        let ours = tags.into_iter().filter_map(|tag| etag::parse(compared(tag)?));
        Ok(Some(Self::These(ours.collect())))
    }
}

impl AtLeast {
    /// # Errors
    /// 400 for what is not a position.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut position = Position::default();
        for value in headers.get_all(POSITION) {
            position.merge(&Position::parse(text(&POSITION, value)?)?);
        }
        Ok(Self(position))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtLeast {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::from_headers(&parts.headers)
    }
}

impl PreferWait {
    const DEFAULT: Duration = Duration::from_secs(2);
    /// A longer wait is shortened to this: `Prefer` is a wish.
    pub const MAX: Duration = Duration::from_secs(30);

    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let wait = list(headers, &PREFER)
            // What follows a preference are its own parameters, and `wait` has none.
            .filter_map(|preference| parameter(split(preference, b';').next()?))
            .find(|(name, _)| name.eq_ignore_ascii_case("wait"))
            .and_then(|(_, seconds)| seconds.parse().ok());
        // What is not understood is not preferred (RFC 7240).
        Self(wait.map_or(Self::DEFAULT, Duration::from_secs).min(Self::MAX))
    }

    /// When the client has waited for so long: one moment for all that its request waits for, and not
    /// after its answer has to be there.
    #[must_use]
    pub fn until(self) -> Instant {
        match RequestContext::current() {
            Some(RequestContext { began, deadline, .. }) => (began + self.0).min(deadline),
            None => Instant::now() + self.0,
        }
    }
}

/// `Tradewind-Position` of an answer.
impl IntoResponseParts for &Position {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.headers_mut().insert(POSITION, self.header_value());
        Ok(parts)
    }
}

impl Position {
    /// As the value of `Tradewind-Position`.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        // base64url always makes a header.
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

/// # Errors
/// A header was sent twice that may be there once.
pub(super) fn check_single(headers: &HeaderMap) -> Result<(), Problem> {
    // Of most requests nothing was.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    match SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        Some(name) => {
            Err(Problem::bad_request("duplicate_header", format!("{name} was sent twice")))
        }
        None => Ok(()),
    }
}

fn text<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, Problem> {
    value.to_str().map_err(|error| {
        let detail = format!("{name} must be visible ASCII");
        Problem::bad_request("malformed_header", detail).caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_short_and_visible() {
        assert_eq!(IdempotencyKey::parse("basket-1~2").unwrap().as_str(), "basket-1~2");
        for bad in ["", "a b", "ü", "a\u{7f}", &"x".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(bad).unwrap_err().code(), "invalid_idempotency_key");
        }
    }

    #[test]
    fn the_key_of_a_part_is_a_key_whatever_the_requests_own() {
        let key = |text: &str| IdempotencyKey::parse(text).unwrap();
        assert_eq!(key("basket").of_part(17).as_str(), "basket-17");
        let fits = "x".repeat(253);
        assert_eq!(key(&fits).of_part(7).as_str(), format!("{fits}-7"));
        let mut parts: Vec<IdempotencyKey> = vec![];
        for length in [253, 254, 255] {
            let long = key(&"x".repeat(length));
            parts.extend([10, 11, 99_999].map(|number| long.of_part(number)));
            assert_eq!(long.of_part(10), long.of_part(10));
        }
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(IdempotencyKey::parse(part.as_str()).unwrap(), *part);
            assert_eq!(parts.iter().position(|it| it == part), Some(index), "each its own");
        }
    }

    #[track_caller]
    fn check_tags(name: HeaderName, text: &str, expected: Option<Tags>) {
        let headers = HeaderMap::from_iter([(name.clone(), text.parse().unwrap())]);
        let conditions = Conditions::of(&headers).unwrap();
        let found =
            if name == header::IF_MATCH { conditions.if_match } else { conditions.if_none_match };
        assert_eq!(found, expected, "{name}: {text}");
    }

    #[test]
    fn conditions_take_lists_of_tags() {
        let these = |revisions: &[Revision]| Some(Tags::These(revisions.to_vec()));
        check_tags(header::IF_MATCH, "\"12\"", these(&[12]));
        check_tags(header::IF_MATCH, "*", Some(Tags::Any));
        check_tags(header::IF_MATCH, "\"1\", W/\"2\",, \"a,b\" , \"3\"", these(&[1, 3]));
        check_tags(header::IF_MATCH, "W/\"12\"", these(&[]));
        check_tags(header::IF_MATCH, "\"a\\\", \"3\"", these(&[3]));
        check_tags(header::IF_NONE_MATCH, "W/\"1\", \"2\"", these(&[1, 2]));
        check_tags(header::IF_NONE_MATCH, "*", Some(Tags::Any));
        let many = vec!["\"1\""; 101].join(",");
        for bad in
            ["12", "\"1", "*, \"1\"", "w/\"1\"", "\"1\" \"2\"", "\"a b\"", "\"\t\"", "", ",", &many]
        {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, bad.parse().unwrap())]);
            let error = Conditions::of(&headers).unwrap_err();
            assert_eq!(error.code(), "invalid_if_match", "{bad}");
        }
    }

    #[track_caller]
    fn check_wait(prefer: &str, expected: u64) {
        let headers = HeaderMap::from_iter([(PREFER, prefer.parse().unwrap())]);
        assert_eq!(PreferWait::from_headers(&headers).0.as_secs(), expected, "{prefer}");
    }

    #[test]
    fn a_preferred_wait_is_a_wish_within_bounds() {
        check_wait("wait=5", 5);
        check_wait("respond-async, WAIT = 7", 7);
        check_wait("wait=\"6\"; x=\",wait=9\", wait=8", 6);
        check_wait("foo=\"wait=1, wait=2\", wait=3", 3);
        check_wait("wait=0", 0);
        check_wait("wait=999", 30);
        check_wait("wait=soon", 2);
        check_wait("return=minimal", 2);
    }
}
