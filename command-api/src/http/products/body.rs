//! What requests for products must look like.

use std::{borrow::Cow, collections::BTreeMap};

use domain::{
    id::Sku,
    money::Money,
    product::{Attribute, Number},
};
use infra::http::fields::{Fields, Validate};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, SchemaType, Type},
    },
};
use uuid::Uuid;

use crate::http::shapes::{MoneyShape, SHORT_CHARS_MAX, check_new_sku, check_price, nullable};

/// Characters of a long text.
const DESCRIPTION_CHARS_MAX: usize = 10_000;
/// Attributes that one request may name.
const ATTRIBUTES_MAX: usize = 100;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProduct {
    /// Made by the server if it is left out.
    pub(super) id: Option<Uuid>,
    /// 1 to 64 characters of `A-Z a-z 0-9 . _ -`, not dots alone; no other product has it.
    #[schema(value_type = String, example = "1082185", max_length = 64,
        pattern = "^\\.*[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
    pub(super) sku: Sku,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) department: Option<String>,
    pub(super) category: Option<String>,
    pub(super) product_type: Option<String>,
    pub(super) brand: Option<String>,
    /// A number is whole and within 64 bits, or has at most 15 digits and 22 decimal places. `null` is
    /// as absent.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, AttributeShape>)]
    pub(super) attributes: BTreeMap<String, Option<AttributeBody>>,
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
        check_attributes(fields, &self.attributes);
        check_new_sku(fields, "/sku", &self.sku);
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
    /// As in a new product; `null` removes one.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, AttributeShape>)]
    pub(super) attributes: BTreeMap<String, Option<AttributeBody>>,
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
        check_attributes(fields, &self.attributes);
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

/// An attribute as it was sent, which the types of a parser would have rounded already.
pub(super) struct AttributeBody(pub(super) Attribute);

/// Documents it.
pub(super) struct AttributeShape;

impl PartialSchema for AttributeShape {
    fn schema() -> RefOr<Schema> {
        let scalars = [Type::String, Type::Number, Type::Boolean, Type::Null];
        let scalar = ObjectBuilder::new().schema_type(SchemaType::from_iter(scalars));
        scalar.max_length(Some(DESCRIPTION_CHARS_MAX)).into()
    }
}

impl ToSchema for AttributeShape {
    fn name() -> Cow<'static, str> {
        "Attribute".into()
    }
}

impl<'de> Deserialize<'de> for AttributeBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let expected = &"a text, a number, a boolean or null";
        let attribute = match raw.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw.get()).map(Attribute::Text),
            Some(b't' | b'f') => serde_json::from_str(raw.get()).map(Attribute::Bool),
            Some(b'[') => return Err(D::Error::invalid_type(Unexpected::Seq, expected)),
            Some(b'{') => return Err(D::Error::invalid_type(Unexpected::Map, expected)),
            _ => {
                let number = Number::parse(raw.get()).map_err(D::Error::custom)?;
                return Ok(Self(Attribute::Number(number)));
            }
        };
        attribute.map(Self).map_err(D::Error::custom)
    }
}

fn check_attributes(fields: &mut Fields, attributes: &BTreeMap<String, Option<AttributeBody>>) {
    let count = attributes.len();
    let detail = format!("must have at most {ATTRIBUTES_MAX} members");
    fields.check("/attributes", "too_many", count <= ATTRIBUTES_MAX, detail);
    for (name, value) in attributes {
        // RFC 6901 escapes these two in a pointer.
        let at = format!("/attributes/{}", name.replace('~', "~0").replace('/', "~1"));
        fields.text_or_empty(at.clone(), name, SHORT_CHARS_MAX);
        if let Some(AttributeBody(Attribute::Text(text))) = value {
            fields.text_or_empty(at, text, DESCRIPTION_CHARS_MAX);
        }
    }
}
