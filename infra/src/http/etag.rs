//! Entity tags: an entity's tag is the revision of its stream, in quotes, that of a document that only a
//! release changes a part of its hash.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use bytes::Bytes;
use domain::envelope::Revision;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::syntax::list;

/// The `ETag` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag(pub Revision);

/// What the client has already, from `If-None-Match`.
#[derive(Clone, Debug, Default, IntoParams)]
#[into_params(names("If-None-Match"), parameter_in = Header)]
pub struct IfNoneMatch(
    /// As an `ETag` gave it: 304 if nothing has changed.
    #[param(value_type = Option<String>, example = "\"3\"")]
    HeaderMap,
);

impl ETag {
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        // Digits in quotes always make a header.
        HeaderValue::try_from(format!("\"{}\"", self.0)).unwrap_or(HeaderValue::from_static(""))
    }
}

impl IntoResponseParts for ETag {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.headers_mut().insert(header::ETAG, self.header_value());
        Ok(parts)
    }
}

/// A document that stays as it is for as long as the process runs. It tells of nobody: anybody may keep
/// it, for a while without asking.
#[derive(Clone, Debug)]
pub struct Fixed {
    content_type: HeaderValue,
    body: Bytes,
    tag: HeaderValue,
}

impl Fixed {
    /// A release is taken up over some minutes, in which nodes tell different things anyway.
    const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=300");
    /// Bytes of the hash that a tag shows.
    const TAG_BYTES: usize = 8;

    #[must_use]
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let hash = Sha256::digest(&body);
        let shown: String =
            hash.iter().take(Self::TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
        // Hex digits in quotes always make a header.
        let tag = HeaderValue::try_from(format!("\"{shown}\""));
        let tag = tag.unwrap_or(HeaderValue::from_static("\"\""));
        Self { content_type: HeaderValue::from_static(content_type), body, tag }
    }

    /// 304 if the client has it already.
    #[must_use]
    pub fn answer(&self, known: &IfNoneMatch) -> Response {
        let caching =
            [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, Self::CACHE_CONTROL)];
        if known.has(self.tag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        (caching, [(header::CONTENT_TYPE, self.content_type.clone())], self.body.clone())
            .into_response()
    }
}

impl IfNoneMatch {
    /// Whether the client has what bears this tag.
    fn has(&self, tag: &[u8]) -> bool {
        let mut tags = list(&self.0, &header::IF_NONE_MATCH);
        tags.any(|known| {
            known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag
        })
    }

    /// Whether the client has this revision: then [`not_modified`] is all it needs.
    #[must_use]
    pub fn matches(&self, revision: Revision) -> bool {
        let mut tags = list(&self.0, &header::IF_NONE_MATCH);
        // A weak comparison: `W/` makes no difference (RFC 9110, 13.1.2).
        tags.any(|tag| tag == "*" || parse(tag.strip_prefix("W/").unwrap_or(tag)) == Some(revision))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let sent = parts.headers.get_all(header::IF_NONE_MATCH).iter().cloned();
        Ok(Self(sent.map(|value| (header::IF_NONE_MATCH, value)).collect()))
    }
}

/// 304.
#[must_use]
pub fn not_modified(revision: Revision) -> Response {
    (StatusCode::NOT_MODIFIED, ETag(revision), ()).into_response()
}

/// The entity tags of a list, weak or strong, be they ours or not; `None` if something else stands there.
/// Nothing is escaped in a tag, so a backslash is a letter like any other (RFC 9110, 8.8.3).
pub(super) fn tags(list: &str) -> Option<Vec<&str>> {
    const BLANK: [char; 2] = [' ', '\t'];
    let is_tag_letter = |byte: u8| matches!(byte, b'!' | b'#'..=b'~');
    let mut tags = Vec::new();
    let mut rest = list;
    loop {
        // Elements may be empty.
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags);
        }
        let opaque = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (inner, after) = opaque.split_once('"')?;
        if !inner.bytes().all(is_tag_letter) {
            return None;
        }
        let length = rest.len().checked_sub(after.len())?;
        tags.push(rest.get(..length)?);
        rest = after.trim_start_matches(BLANK);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

/// The revision in `"<digits>"`.
pub(super) fn parse(tag: &str) -> Option<Revision> {
    let digits = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: bool) {
        let sent = [(header::IF_NONE_MATCH, header.parse().unwrap())];
        let tags = IfNoneMatch(HeaderMap::from_iter(sent));
        assert_eq!(tags.matches(7), expected, "{header}");
    }

    #[test]
    fn what_the_client_has_is_compared_weakly() {
        check("\"7\"", true);
        check("W/\"7\"", true);
        check("\"6\", \"7\"", true);
        check("*", true);
        check("\"8\"", false);
        check("7", false);
        check("", false);
    }

    #[test]
    fn a_fixed_document_is_sent_once_until_it_differs() {
        let (one, other) = (Fixed::new("text/plain", "one"), Fixed::new("text/plain", "other"));
        let sent =
            |tag: HeaderValue| IfNoneMatch(HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]));
        let first = one.answer(&IfNoneMatch::default());
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].clone();
        assert_eq!(one.answer(&sent(tag.clone())).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(
            one.answer(&sent(HeaderValue::from_static("*"))).status(),
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(other.answer(&sent(tag)).status(), StatusCode::OK);
    }
}
