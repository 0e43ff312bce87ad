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
    shapes,
    values::Text,
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// A short text: a name, a reference, a reason.
pub(super) type Short = Text<200>;
/// One that may say nothing.
pub(super) type ShortOrBlank = Text<200, 0>;

/// A body that says nothing: empty, or `{}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

impl Validate for Empty {}

/// An amount in minor units of a currency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Money)]
struct MoneyBody {
    /// Minor units: 1250 is 12.50 USD.
    amount: shapes::Any64,
    #[schema(value_type = shapes::CurrencyCode)]
    currency: money::Currency,
}

/// What something costs, in minor units of a currency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    /// Minor units: 1250 is 12.50 USD.
    amount: shapes::Natural,
    #[schema(value_type = shapes::CurrencyCode)]
    currency: money::Currency,
}

infra::validates!(Price: amount);

impl Price {
    pub(super) fn into_money(self) -> money::Money {
        money::Money::new(self.amount.get(), self.currency)
    }
}

/// Where to ship to.
#[derive(Deserialize, ToSchema)]
#[schema(as = Address)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressBody {
    name: Short,
    line1: Short,
    line2: Option<ShortOrBlank>,
    city: Short,
    region: Option<ShortOrBlank>,
    /// Not all countries have them. Empty is as absent, here and in `line2` and `region`.
    postal_code: Option<ShortOrBlank>,
    #[schema(value_type = shapes::CountryCode)]
    country: String,
}

impl Validate for AddressBody {
    fn validate(&self, fields: &mut Fields) {
        let Self { name, line1, line2, city, region, postal_code, country } = self;
        for (at, text) in [("/name", name), ("/line1", line1), ("/city", city)] {
            fields.value(at, text);
        }
        for (at, text) in [("/line2", line2), ("/region", region), ("/postal_code", postal_code)] {
            fields.value(at, text);
        }
        let detail = "must be an ISO 3166-1 alpha-2 code such as DE";
        fields.check("/country", "invalid", country::is_country(country), detail);
    }
}

impl AddressBody {
    pub(super) fn into_address(self) -> Address {
        let Self { name, line1, line2, city, region, postal_code, country } = self;
        // Forms send what was left blank.
        let given = |text: Option<ShortOrBlank>| {
            text.map(Text::into_string).filter(|text| !text.trim().is_empty())
        };
        let (line2, region, postal_code) = (given(line2), given(region), given(postal_code));
        let [name, line1, city] = [name, line1, city].map(Text::into_string);
        Address { name, line1, line2, city, region, postal_code, country }
    }
}

/// A signed change of a line's total; a discount is negative.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Adjustment)]
pub(super) struct AdjustmentBody {
    #[schema(example = "discount")]
    kind: Short,
    amount: MoneyBody,
    #[schema(example = "10 % off")]
    reason: ShortOrBlank,
}

/// Adjustments of one line.
const ADJUSTMENTS_MAX: usize = 100;

pub(super) type Adjustments = Bounded<AdjustmentBody, ADJUSTMENTS_MAX>;

infra::validates!(AdjustmentBody: kind, reason);

pub(super) fn into_adjustments(adjustments: Adjustments) -> Vec<Adjustment> {
    let adjustment = |AdjustmentBody { kind, amount, reason }| Adjustment {
        kind: Text::into_string(kind),
        amount: money::Money::new(amount.amount.get(), amount.currency),
        reason: Text::into_string(reason),
    };
    adjustments.into_vec().into_iter().map(adjustment).collect()
}

/// The code of a new thing must be one that its own URLs can carry.
pub(super) fn check_new_sku(fields: &mut Fields, at: &'static str, sku: &Sku) {
    let detail = "must have a character other than a dot, or no URL could carry it";
    fields.check(at, "invalid", sku.fits_a_path(), detail);
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

    fn address(change: impl FnOnce(&mut serde_json::Value)) -> (Fields, Address) {
        let mut body = serde_json::json!({
            "name": "Ada", "line1": "1 Main Street", "city": "Dublin", "country": "IE",
        });
        change(&mut body);
        let body: AddressBody = serde_json::from_value(body).unwrap();
        let mut fields = Fields::default();
        body.validate(&mut fields);
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
}
