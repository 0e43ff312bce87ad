//! Lists in pages: a limit, and a cursor that says where the last page ended.
//!
//! Cursors are keysets, not offsets: a page costs the same wherever it is, and rows that come or
//! go meanwhile neither repeat nor hide others.

use axum::{
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::form_urlencoded;

use super::{extract::document, fields::Fields, problem::Problem};

/// `?limit=` as it was sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Limit(String);

/// What `?limit=` and `?cursor=` ask for.
#[derive(Clone, Debug)]
pub struct Page {
    limit: u16,
    cursor: Option<Cursor>,
    uri: Uri,
}

/// Where a page ended. For clients it is opaque.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    next: Option<Cursor>,
}

impl Page {
    const LIMIT_DEFAULT: u16 = 50;
    pub(super) const LIMIT_MAX: u16 = 200;
    /// Bytes of a cursor. What a page ends with is shorter by far; a replay has a place in each shard.
    pub(super) const CURSOR_BYTES_MAX: usize = 4096;

    /// The page that a request for `uri` asks for.
    ///
    /// # Errors
    /// 422 for a limit that is out of bounds.
    pub fn new(uri: Uri, limit: Option<&Limit>, cursor: Option<&Cursor>) -> Result<Self, Problem> {
        let limit = limit.map_or(Ok(Self::LIMIT_DEFAULT), Limit::parse)?;
        Ok(Self { limit, cursor: cursor.cloned(), uri })
    }

    /// Rows of one page.
    #[must_use]
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// A page of fewer rows.
    #[must_use]
    pub fn at_most(self, rows: u16) -> Self {
        Self { limit: self.limit.min(rows), ..self }
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

    /// The page of rows that were looked for up to a key. There may be more beyond it, though no row came.
    pub fn listing_up_to<T, K: Serialize>(
        &self,
        rows: Vec<T>,
        key: impl FnOnce(&T) -> K,
        looked_up_to: Option<&K>,
    ) -> Listing<T> {
        let mut listing = self.listing(rows, key);
        if listing.body.next.is_none() {
            listing.body.next = looked_up_to.map(Cursor::encode);
            listing.link = listing.body.next.as_ref().and_then(|next| self.link(next));
        }
        listing
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
        let key = self.bytes().filter(is_plain);
        key.and_then(|key| serde_json::from_slice(&key).ok()).ok_or_else(|| {
            let detail = "send back the `next` of the page before, unchanged, with the same query";
            Problem::bad_request("invalid_cursor", detail)
        })
    }

    /// Holds what is no JSON.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What it holds; nothing if no cursor is so long, or so written.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let text = Some(&self.0).filter(|text| text.len() <= Page::CURSOR_BYTES_MAX)?;
        URL_SAFE_NO_PAD.decode(text).ok()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Limit {
    fn parse(&self) -> Result<u16, Problem> {
        let limit = self.0.parse().ok().filter(|limit| (1..=Page::LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            let detail = format!("must be a number from 1 to {}", Page::LIMIT_MAX);
            Problem::invalid_field("/limit", "out_of_range", detail)
        })
    }
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
