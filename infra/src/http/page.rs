//! Lists in pages: a limit, and a cursor that says where the last page ended.
//!
//! Cursors are keysets, not offsets: a page costs the same wherever it is, and rows that come or
//! go meanwhile neither repeat nor hide others.

use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::{HeaderValue, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use url::form_urlencoded;

use super::{extract::document, fields::Fields, problem::Problem, shapes::CursorText};

/// What `?limit=` and `?cursor=` ask for.
#[derive(Clone, Debug)]
pub struct Page {
    limit: u16,
    cursor: Option<Cursor>,
    uri: Uri,
}

/// Where a page ended. For clients it is opaque.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// One page, with the way to the next.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    body: ListingBody<T>,
    link: Option<HeaderValue>,
}

#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ListingBody<T> {
    items: Vec<T>,
    /// Send it back as `?cursor=` for the next page; null on the last one.
    #[schema(value_type = Option<CursorText>)]
    next: Option<Cursor>,
}

impl Page {
    const LIMIT_DEFAULT: u16 = 50;
    pub(super) const LIMIT_MAX: u16 = 200;
    /// Bytes of a cursor. What a page ends with is shorter by far.
    pub(super) const CURSOR_BYTES_MAX: usize = 2048;

    /// Rows of one page.
    #[must_use]
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// The key that the last page ended with; none on the first page.
    ///
    /// # Errors
    /// 400 if the cursor is not one of this list.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        self.cursor.as_ref().map(Cursor::decode).transpose()
    }

    /// The page made of rows that were read with a limit of `limit() + 1`: one row more tells
    /// that there is a next page, and is left out.
    pub fn listing<T, K: Serialize>(
        &self,
        mut rows: Vec<T>,
        key: impl FnOnce(&T) -> K,
    ) -> Listing<T> {
        let limit = usize::from(self.limit);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|last| Cursor::encode(&key(last)));
        let link = next.as_ref().and_then(|next| self.link(next));
        Listing { body: ListingBody { items: rows, next }, link }
    }

    /// `<path?…&cursor=…>; rel="next"`
    fn link(&self, next: &Cursor) -> Option<HeaderValue> {
        let query = self.uri.query().unwrap_or_default().as_bytes();
        let kept = form_urlencoded::parse(query).filter(|(name, _)| name != "cursor");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .append_pair("cursor", &next.0)
            .finish();
        HeaderValue::try_from(format!("<{}?{query}>; rel=\"next\"", self.uri.path())).ok()
    }
}

impl Cursor {
    /// Holds any key that the next page starts after.
    #[must_use]
    pub fn encode<K: Serialize>(key: &K) -> Self {
        // Keys are plain structs and tuples, which always serialise.
        Self(URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default()))
    }

    /// # Errors
    /// 400 if it does not hold such a key.
    pub fn decode<K: DeserializeOwned>(&self) -> Result<K, Problem> {
        // Whoever makes one up gets no text into a query that a column could not hold.
        let is_plain = |key: &Vec<u8>| {
            let mut fields = Fields::default();
            document::check(key, &mut fields).is_ok() && fields.is_empty()
        };
        let text = Some(&self.0).filter(|text| text.len() <= Page::CURSOR_BYTES_MAX);
        let key = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).filter(is_plain);
        key.and_then(|key| serde_json::from_slice(&key).ok()).ok_or_else(|| {
            let detail = "send back the `next` of the page before, unchanged, with the same query";
            Problem::bad_request("invalid_cursor", detail)
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The router cuts the prefix of a nested route off `parts.uri`.
        let original = parts.extensions.get::<OriginalUri>().map(|OriginalUri(uri)| uri.clone());
        let uri = original.unwrap_or_else(|| parts.uri.clone());
        let (mut limit, mut cursor) = (Self::LIMIT_DEFAULT, None);
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "limit" => limit = parse_limit(&value)?,
                "cursor" => cursor = Some(Cursor(value.into_owned())),
                _ => {}
            }
        }
        Ok(Self { limit, cursor, uri })
    }
}

fn parse_limit(text: &str) -> Result<u16, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=Page::LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        let detail = format!("must be a number from 1 to {}", Page::LIMIT_MAX);
        Problem::invalid_field("/limit", "out_of_range", detail)
    })
}

impl<T> Listing<T> {
    /// The same page with other items.
    pub fn map<U>(self, item: impl FnMut(T) -> U) -> Listing<U> {
        let ListingBody { items, next } = self.body;
        let items = items.into_iter().map(item).collect();
        Listing { body: ListingBody { items, next }, link: self.link }
    }
}

impl<T: Serialize> IntoResponse for Listing<T> {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.body).into_response();
        if let Some(link) = self.link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}
