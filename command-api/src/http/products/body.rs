//! What requests for products must look like.

use std::collections::BTreeMap;

use domain::{id::Sku, money::Money};
use infra::http::fields::{Fields, Validate};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::shapes::{MoneyShape, SHORT_CHARS_MAX, check_price, nullable};

/// Characters of a long text.
const DESCRIPTION_CHARS_MAX: usize = 10_000;
/// Attributes that one request may name.
const ATTRIBUTES_MAX: usize = 100;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProduct {
    /// Made by the server if it is left out.
    pub(super) id: Option<Uuid>,
    /// 1 to 64 characters of `A-Z a-z 0-9 . _ -`; no other product has it.
    #[schema(value_type = String, example = "1082185")]
    pub(super) sku: Sku,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) department: Option<String>,
    pub(super) category: Option<String>,
    pub(super) product_type: Option<String>,
    pub(super) brand: Option<String>,
    /// Scalars only.
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, Value>,
    #[schema(value_type = MoneyShape)]
    pub(super) price: Money,
}

impl Validate for NewProduct {
    fn validate(&self, fields: &mut Fields) {
        fields.text("/name", &self.name, SHORT_CHARS_MAX);
        for (at, text, chars_max) in [
            ("/description", &self.description, DESCRIPTION_CHARS_MAX),
            ("/department", &self.department, SHORT_CHARS_MAX),
            ("/category", &self.category, SHORT_CHARS_MAX),
            ("/product_type", &self.product_type, SHORT_CHARS_MAX),
            ("/brand", &self.brand, SHORT_CHARS_MAX),
        ] {
            if let Some(text) = text {
                fields.text(at, text, chars_max);
            }
        }
        check_attributes(fields, self.attributes.iter().map(|(name, value)| (name, Some(value))));
        check_price(fields, "/price/amount", self.price);
    }
}

/// A JSON merge patch (RFC 7396): absent keeps, `null` removes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductPatch {
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub(super) description: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub(super) department: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub(super) category: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub(super) product_type: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub(super) brand: Option<Option<String>>,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, Option<Value>>,
}

impl Validate for ProductPatch {
    fn validate(&self, fields: &mut Fields) {
        if let Some(name) = &self.name {
            fields.text("/name", name, SHORT_CHARS_MAX);
        }
        for (at, text, chars_max) in [
            ("/description", &self.description, DESCRIPTION_CHARS_MAX),
            ("/department", &self.department, SHORT_CHARS_MAX),
            ("/category", &self.category, SHORT_CHARS_MAX),
            ("/product_type", &self.product_type, SHORT_CHARS_MAX),
            ("/brand", &self.brand, SHORT_CHARS_MAX),
        ] {
            if let Some(Some(text)) = text {
                fields.text(at, text, chars_max);
            }
        }
        let attributes = self.attributes.iter().map(|(name, value)| (name, value.as_ref()));
        check_attributes(fields, attributes);
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPrice {
    #[schema(value_type = MoneyShape)]
    pub(super) price: Money,
}

impl Validate for NewPrice {
    fn validate(&self, fields: &mut Fields) {
        check_price(fields, "/price/amount", self.price);
    }
}

fn check_attributes<'a>(
    fields: &mut Fields,
    attributes: impl ExactSizeIterator<Item = (&'a String, Option<&'a Value>)>,
) {
    let count = attributes.len();
    let detail = format!("must have at most {ATTRIBUTES_MAX} members");
    fields.check("/attributes", "too_many", count <= ATTRIBUTES_MAX, detail);
    for (name, value) in attributes {
        // RFC 6901 escapes these two in a pointer.
        let at = format!("/attributes/{}", name.replace('~', "~0").replace('/', "~1"));
        fields.text_or_empty(at.clone(), name, SHORT_CHARS_MAX);
        match value {
            Some(Value::String(text)) => fields.text_or_empty(at, text, DESCRIPTION_CHARS_MAX),
            Some(Value::Array(_) | Value::Object(_)) => {
                fields.add(at, "wrong_type", "must be a text, a number, a boolean or null");
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {}
        }
    }
}
