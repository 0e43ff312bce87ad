//! Shapes that several resources share, and what their parts must look like.

use domain::{
    cart::{Address, Adjustment},
    country,
    id::Sku,
    money,
};
use infra::http::{
    bounded::Bounded,
    fields::{Fields, Validate},
};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

/// Characters of a short text: a name, a reference, a reason.
pub(super) const SHORT_CHARS_MAX: usize = 200;

/// Headers that every command takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it documents what `Incoming` reads")]
pub(super) struct CommandHeaders {
    /// Names the request, so that sending it again changes nothing: 1 to 255 visible characters,
    /// kept for 24 hours.
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
    /// Makes the command conditional on the stream's revision, as an `ETag` gave it: one tag or several,
    /// or `*` for any stream that exists.
    #[param(rename = "If-Match", example = "\"3\"")]
    if_match: Option<String>,
    /// `*` makes the command conditional on that there is nothing yet.
    #[param(rename = "If-None-Match", example = "*")]
    if_none_match: Option<String>,
}

/// A body that says nothing: empty, or `{}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

impl Validate for Empty {}

/// An amount in minor units of a currency.
#[derive(ToSchema)]
#[schema(as = Money)]
#[expect(dead_code, reason = "it documents `domain::money::Money`")]
pub(super) struct MoneyShape {
    /// Minor units: 1250 is 12.50 USD.
    #[schema(example = 1250)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
}

/// Where to ship to.
#[derive(Deserialize, ToSchema)]
#[schema(as = Address)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressBody {
    name: String,
    line1: String,
    line2: Option<String>,
    city: String,
    region: Option<String>,
    /// Not all countries have them. Empty is as absent, here and in `line2` and `region`.
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "DE", pattern = "^[A-Z]{2}$")]
    country: String,
}

impl AddressBody {
    pub(super) fn check(&self, fields: &mut Fields, at: &str) {
        let Self { name, line1, line2, city, region, postal_code, country } = self;
        for (field, text) in [("name", name), ("line1", line1), ("city", city)] {
            fields.text(format!("{at}/{field}"), text, SHORT_CHARS_MAX);
        }
        for (field, text) in [("line2", line2), ("region", region), ("postal_code", postal_code)] {
            let text = text.as_deref().unwrap_or_default();
            fields.text_or_empty(format!("{at}/{field}"), text, SHORT_CHARS_MAX);
        }
        let detail = "must be an ISO 3166-1 alpha-2 code such as DE";
        fields.check(format!("{at}/country"), "invalid", country::is_country(country), detail);
    }

    pub(super) fn into_address(self) -> Address {
        let Self { name, line1, line2, city, region, postal_code, country } = self;
        // Forms send what was left blank.
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let (line2, region, postal_code) = (given(line2), given(region), given(postal_code));
        Address { name, line1, line2, city, region, postal_code, country }
    }
}

/// A signed change of a line's total; a discount is negative.
#[derive(ToSchema)]
#[schema(as = Adjustment)]
#[expect(dead_code, reason = "it documents `domain::cart::Adjustment`")]
pub(super) struct AdjustmentShape {
    #[schema(example = "discount")]
    kind: String,
    #[schema(inline = false)]
    amount: MoneyShape,
    #[schema(example = "10 % off")]
    reason: String,
}

/// Adjustments of one line.
const ADJUSTMENTS_MAX: usize = 100;

pub(super) type Adjustments = Bounded<Adjustment, ADJUSTMENTS_MAX>;
pub(super) type AdjustmentShapes = Bounded<AdjustmentShape, ADJUSTMENTS_MAX>;

pub(super) fn check_adjustments(fields: &mut Fields, at: &str, adjustments: &[Adjustment]) {
    for (index, adjustment) in adjustments.iter().enumerate() {
        let at = format!("{at}/adjustments/{index}");
        fields.text(format!("{at}/kind"), &adjustment.kind, SHORT_CHARS_MAX);
        fields.text_or_empty(format!("{at}/reason"), &adjustment.reason, SHORT_CHARS_MAX);
    }
}

/// The code of a new thing must be one that its own URLs can carry.
pub(super) fn check_new_sku(fields: &mut Fields, at: &'static str, sku: &Sku) {
    let detail = "must have a character other than a dot, or no URL could carry it";
    fields.check(at, "invalid", sku.fits_a_path(), detail);
}

pub(super) fn check_price(fields: &mut Fields, at: &'static str, price: money::Money) {
    fields.check(at, "out_of_range", price.amount >= 0, "must not be negative");
}

/// `local@domain`, short enough for a mail server. Whether it exists only a mail can tell.
pub(super) fn check_email(fields: &mut Fields, at: &'static str, email: &str) {
    let shaped = email.split_once('@').is_some_and(|(local, domain)| {
        let domain_shaped =
            domain.split('.').all(|label| !label.is_empty()) && domain.contains('.');
        !local.is_empty() && domain_shaped && !domain.contains('@')
    });
    let valid = shaped && email.len() <= 254 && !email.contains(char::is_whitespace);
    fields.check(at, "invalid", valid, "must be an e-mail address such as ada@example.org");
}

/// For a field of a merge patch: absent is `None`, `null` is `Some(None)`.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(email: &str, expected: bool) {
        let mut fields = Fields::default();
        check_email(&mut fields, "/email", email);
        assert_eq!(fields.is_empty(), expected, "{email}");
    }

    fn address(change: impl FnOnce(&mut serde_json::Value)) -> (Fields, Address) {
        let mut body = serde_json::json!({
            "name": "Ada", "line1": "1 Main Street", "city": "Dublin", "country": "IE",
        });
        change(&mut body);
        let body: AddressBody = serde_json::from_value(body).unwrap();
        let mut fields = Fields::default();
        body.check(&mut fields, "");
        (fields, body.into_address())
    }

    #[test]
    fn what_was_left_blank_in_an_address_is_absent() {
        let (_, absent) = address(|_| {});
        assert_eq!((&absent.line2, &absent.region, &absent.postal_code), (&None, &None, &None));
        for blank in ["", "  ", "\t"] {
            let (fields, found) = address(|body| {
                for field in ["line2", "region", "postal_code"] {
                    body[field] = blank.into();
                }
            });
            assert!(fields.is_empty(), "{fields:?}");
            assert_eq!(found, absent, "{blank:?}");
        }
        let (fields, _) = address(|body| body["line1"] = " ".into());
        assert!(!fields.is_empty(), "a line is needed");
    }

    #[test]
    fn a_country_is_one_that_there_is() {
        for (country, expected) in
            [("IE", true), ("AX", true), ("ie", false), ("XX", false), ("UK", false), ("", false)]
        {
            let (fields, _) = address(|body| body["country"] = country.into());
            assert_eq!(fields.is_empty(), expected, "{country}");
        }
    }

    #[test]
    fn an_email_has_a_name_and_a_host() {
        check("ada@example.org", true);
        check("ada+shop@mail.example.org", true);
        for bad in
            ["", "ada", "@example.org", "ada@", "ada@host", "a b@c.de", "a@b@c.de", "a@b..de"]
        {
            check(bad, false);
        }
    }
}
