//! What values look like: those of `domain`, whose types know no contract, have a type here that documents
//! and holds nothing; those that headers and parameters are read into have their own.
//!
//! **Invariant:** a shape is as strict as what reads the value, and no stricter: tests hold it against
//! the parsers (`values/tests.rs`), and CI against a running stack (`.ci/run contract`).

use std::borrow::Cow;

use domain::{api_key, cart, country, money::Currency};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat,
        schema::{AnyOfBuilder, ArrayBuilder, OneOfBuilder, Type},
    },
};

use crate::position::Position;

use super::{
    headers::{AtLeast, IdempotencyKey, Tags},
    page::{Cursor, Limit, Page},
    values::{CONTROL, Whole},
};

macro_rules! shapes {
    ($($(#[$doc:meta])* $shape:ident as $name:literal: $schema:expr;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $shape;
        )+
        shown! { $($shape as $name: $schema;)+ }
    };
}

/// Gives types their schemas.
macro_rules! shown {
    ($($shape:ident as $name:literal: $schema:expr;)+) => {$(
        impl PartialSchema for $shape {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $shape {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    )+};
}

shapes! {
    /// The code of something that there may be.
    Sku as "Sku": text("^[A-Za-z0-9._-]{1,64}$").max_length(Some(64)).examples(["1082185"]);
    /// The code of something new: one that a URL can carry.
    NewSku as "NewSku": text(r"^[.]{0,63}[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")
        .max_length(Some(64)).examples(["1082185"]);
    /// ISO 4217, without funds, metals and codes for tests.
    CurrencyCode as "Currency": words(Currency::codes()).examples(["USD"]);
    /// ISO 3166-1 alpha-2.
    CountryCode as "Country": words(country::codes()).examples(["DE"]);
    /// Of the years 1 to 9999 in UTC, without leap seconds.
    Instant as "Instant": text(&format!(
            "^{YEAR}-[0-9]{{2}}-[0-9]{{2}}[Tt][0-9]{{2}}:[0-9]{{2}}:[0-5][0-9]([.][0-9]+)?\
             ([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})$"
        ))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-01-31T12:00:00Z"]);
    /// Of the years 1 to 9999.
    CalendarDay as "Day": text(&format!("^{YEAR}-[0-9]{{2}}-[0-9]{{2}}$"))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
        .examples(["2026-01-31"]);
    Channel as "Channel": words([cart::Channel::Web, cart::Channel::Pos].map(cart::Channel::as_str));
    Role as "Role": words(api_key::Role::ALL.map(api_key::Role::as_str));
    /// What a part of a system is called, in a path.
    PartName as "PartName": text("^[a-z_]+$").max_length(Some(64));
}

shown! {
    IdempotencyKey as "IdempotencyKey": text(&format!("^[!-~]{{1,{}}}$", Self::LENGTH_MAX))
        .max_length(Some(Self::LENGTH_MAX));
    // `*`, or tags joined by commas.
    Tags as "EntityTags": AnyOfBuilder::new().item(words(["*"])).item(text(&format!(
        "^{TAG}([ \\t]*,[ \\t]*{TAG}){{0,{}}}$", Self::TAGS_MAX - 1
    )));
    // The beginning of the log, or tokens joined by commas.
    AtLeast as "PositionTokens": AnyOfBuilder::new()
        .item(words([&*Position::default().to_string()]))
        .item(text(&format!("^{TOKEN}([ \\t]*,[ \\t]*{TOKEN})*$")));
    Limit as "PageLimit": Whole::<u16, 1, { Page::LIMIT_MAX as i64 }>::schema();
    Cursor as "Cursor": text("^[A-Za-z0-9_-]+$").max_length(Some(Page::CURSOR_BYTES_MAX));
}

/// Any JSON, which the size of a body bounds and nothing else. Its texts are as all texts.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl PartialSchema for Json {
    fn schema() -> RefOr<Schema> {
        let plain = |kind: Type| ObjectBuilder::new().schema_type(kind);
        let words = || text(&format!("^[^{CONTROL}]*$"));
        let itself = || Ref::from_schema_name(Self::name());
        let object = plain(Type::Object).property_names(Some(words()));
        let one_of = OneOfBuilder::new().item(plain(Type::Null)).item(plain(Type::Boolean));
        let one_of = one_of.item(plain(Type::Number)).item(words());
        let one_of = one_of.item(ArrayBuilder::new().items(itself()));
        one_of.item(object.additional_properties(Some(itself()))).into()
    }
}

impl ToSchema for Json {}

/// What a revision, a count or an amount may be that only the type bounds.
pub type Natural = Whole<i64, 0, { i64::MAX }>;
pub type Any64 = Whole<i64, { i64::MIN }, { i64::MAX }>;
pub type Version = Whole<i32, 1, 2_147_483_647>;

/// 0001 to 9999.
const YEAR: &str = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})";
/// RFC 9110, 8.8.3, in ASCII.
const TAG: &str = "(W/)?\"[!#-~]*\"";
/// Base64url of a token's version, and what it is followed by, which is opaque.
const TOKEN: &str = "A[Q-Za-f][A-Za-z0-9_-]*";

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

fn text(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}
