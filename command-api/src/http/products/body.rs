//! What requests for products must look like.

use std::{borrow::Cow, collections::BTreeMap};

use domain::{
    id::{ProductId, Sku},
    money::Money,
    product::{Attribute, Details, Number, Patch},
};
use infra::http::{
    fields::{Fields, Validate},
    shapes,
    values::{Fault, Text, Value},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{ObjectBuilder, OneOfBuilder, Type},
    },
};

use crate::http::shapes::{Price, Short, ShortOrBlank, check_new_sku, nullable};

type Description = Text<10_000>;
/// Characters of an attribute that is a text.
const ATTRIBUTE_CHARS_MAX: usize = 10_000;
/// Attributes that one request may name.
const ATTRIBUTES_MAX: usize = 100;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProduct {
    /// Made by the server if it is left out.
    #[schema(value_type = Option<Uuid>)]
    pub(super) id: Option<ProductId>,
    /// 1 to 64 characters of `A-Z a-z 0-9 . _ -`, not dots alone; no other product has it.
    #[schema(value_type = shapes::NewSku)]
    pub(super) sku: Sku,
    pub(super) name: Short,
    pub(super) description: Option<Description>,
    pub(super) department: Option<Short>,
    pub(super) category: Option<Short>,
    pub(super) product_type: Option<Short>,
    pub(super) brand: Option<Short>,
    /// A number is whole and within 64 bits, or has at most 15 digits and 22 decimal places. `null` is
    /// as absent.
    #[serde(default)]
    pub(super) attributes: Attributes,
    pub(super) price: Price,
}

impl Validate for NewProduct {
    fn validate(&self, fields: &mut Fields) {
        let words = [&self.department, &self.category, &self.product_type, &self.brand];
        check_details(fields, &self.name, &self.description, words, &self.attributes);
        check_new_sku(fields, "/sku", &self.sku);
        fields.within("/price", &self.price);
    }
}

impl NewProduct {
    pub(super) fn into_parts(self) -> (Sku, Details, Money) {
        let Self { sku, name, description, department, category, product_type, brand, .. } = self;
        let [department, category, product_type, brand] =
            [department, category, product_type, brand].map(|text| text.map(Text::into_string));
        let attributes = self.attributes.into_values();
        let details = Details {
            name: name.into_string(),
            description: description.map(Text::into_string),
            department,
            category,
            product_type,
            brand,
            attributes: attributes.filter_map(|(name, value)| Some((name, value?))).collect(),
        };
        (sku, details, self.price.into_money())
    }
}

/// A JSON merge patch (RFC 7396): absent keeps, `null` removes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductPatch {
    pub(super) name: Option<Short>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Description>)]
    pub(super) description: Option<Option<Description>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Short>)]
    pub(super) department: Option<Option<Short>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Short>)]
    pub(super) category: Option<Option<Short>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Short>)]
    pub(super) product_type: Option<Option<Short>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Short>)]
    pub(super) brand: Option<Option<Short>>,
    /// As in a new product; `null` removes one.
    #[serde(default)]
    pub(super) attributes: Attributes,
}

impl Validate for ProductPatch {
    fn validate(&self, fields: &mut Fields) {
        let words = [&self.department, &self.category, &self.product_type, &self.brand];
        check_details(fields, &self.name, &self.description, words, &self.attributes);
    }
}

/// What a product and a change of it have alike: in a change, more of it may be absent.
fn check_details<V: Value>(
    fields: &mut Fields,
    name: &impl Value,
    description: &impl Value,
    words: [&V; 4],
    attributes: &Attributes,
) {
    fields.value("/name", name);
    fields.value("/description", description);
    for (at, word) in ["/department", "/category", "/product_type", "/brand"].into_iter().zip(words)
    {
        fields.value(at, word);
    }
    fields.within("/attributes", attributes);
}

impl ProductPatch {
    pub(super) fn into_patch(self) -> Patch {
        let Self { name, description, department, category, product_type, brand, attributes } =
            self;
        let [department, category, product_type, brand] =
            [department, category, product_type, brand]
                .map(|change| change.map(|text| text.map(Text::into_string)));
        Patch {
            name: name.map(Text::into_string),
            description: description.map(|text| text.map(Text::into_string)),
            department,
            category,
            product_type,
            brand,
            // `null` removes one.
            attributes: attributes.into_values().collect(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPrice {
    pub(super) price: Price,
}

impl Validate for NewPrice {
    fn validate(&self, fields: &mut Fields) {
        fields.within("/price", &self.price);
    }
}

/// Attributes by name.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Attributes(BTreeMap<ShortOrBlank, Option<AttributeBody>>);

impl Validate for Attributes {
    fn validate(&self, fields: &mut Fields) {
        if self.0.len() > ATTRIBUTES_MAX {
            fields.add("", "too_many", format!("must have at most {ATTRIBUTES_MAX} members"));
        }
        for (name, value) in &self.0 {
            for (code, detail) in [name.fault(), value.fault()].into_iter().flatten() {
                // RFC 6901 escapes these two in a pointer.
                let name = name.replace('~', "~0").replace('/', "~1");
                fields.add(format!("/{name}"), code, detail);
            }
        }
    }
}

impl Attributes {
    /// `None` stands where `null` did.
    pub(super) fn into_values(self) -> impl Iterator<Item = (String, Option<Attribute>)> {
        self.0.into_iter().map(|(name, value)| (name.into_string(), value.map(|value| value.0)))
    }
}

impl PartialSchema for Attributes {
    fn schema() -> RefOr<Schema> {
        let values = ObjectBuilder::new().schema_type(Type::Object);
        let values =
            values.additional_properties(Some(Ref::from_schema_name(AttributeBody::name())));
        let values = match ShortOrBlank::schema() {
            RefOr::T(names) => values.property_names(Some(names)),
            RefOr::Ref(_) => values,
        };
        values.max_properties(Some(ATTRIBUTES_MAX)).into()
    }
}

impl ToSchema for Attributes {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((AttributeBody::name().into_owned(), AttributeBody::schema()));
        AttributeBody::schemas(schemas);
    }
}

/// An attribute as it was sent, which the types of a parser would have rounded already.
pub(super) struct AttributeBody(Attribute);

type AttributeText = Text<ATTRIBUTE_CHARS_MAX, 0>;

impl PartialSchema for AttributeBody {
    fn schema() -> RefOr<Schema> {
        let plain = |kind: Type| ObjectBuilder::new().schema_type(kind);
        // Whole numbers have 64 bits, and a decimal with 15 digits is not larger. No keyword counts digits.
        let number = plain(Type::Number).minimum(Some(i64::MIN)).maximum(Some(i64::MAX));
        let one_of = OneOfBuilder::new().item(Ref::from_schema_name(AttributeText::name()));
        one_of.item(number).item(plain(Type::Boolean)).item(plain(Type::Null)).into()
    }
}

impl ToSchema for AttributeBody {
    fn name() -> Cow<'static, str> {
        "Attribute".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((AttributeText::name().into_owned(), AttributeText::schema()));
    }
}

impl Value for AttributeBody {
    fn fault(&self) -> Option<Fault> {
        match &self.0 {
            Attribute::Text(text) => AttributeText::judge(text),
            Attribute::Bool(_) | Attribute::Number(_) => None,
        }
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
