//! Money: integer minor units and an ISO 4217 code. No floating point anywhere near it.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An ISO 4217 alphabetic code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// The active codes of ISO 4217 that name money one can pay with (funds, metals and testing codes
/// left out), in order, each with a space behind it. Source: SIX Group, list one.
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD \
    BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP \
    GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR \
    KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN \
    MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR \
    SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD \
    UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ";

/// Of these the minor unit is the unit itself, and of the others below a thousandth; of all others it is
/// a hundredth.
const WHOLE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
const THOUSANDTHS: &str = "BHD IQD JOD KWD LYD OMR TND";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code such as USD")]
pub struct InvalidCurrency;

impl Currency {
    pub const EUR: Self = Self(*b"EUR");
    pub const USD: Self = Self(*b"USD");

    /// All codes that there are.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        CODES.split_ascii_whitespace()
    }

    /// Of an amount in minor units: 129 EUR are 1.29.
    #[must_use]
    pub fn decimal_places(self) -> u32 {
        let is_of = |codes: &str| codes.split(' ').any(|code| code == self.as_str());
        if is_of(WHOLE) {
            0
        } else if is_of(THOUSANDTHS) {
            3
        } else {
            2
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // The bytes come from `CODES`, so they are ASCII.
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        let code = <[u8; 3]>::try_from(text.as_bytes()).map_err(|_length| InvalidCurrency)?;
        // Each price of each event is read, so this is asked often.
        let (codes, _) = CODES.as_bytes().as_chunks::<4>();
        let found = codes.binary_search_by(|&[a, b, c, _space]| [a, b, c].cmp(&code));
        found.map(|_| Self(code)).map_err(|_place| InvalidCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A later release may know further codes, so the list is no part of it.
impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An ISO 4217 alphabetic code.",
            "pattern": "^[A-Z]{3}$",
        })
    }
}

/// An amount in minor units of a currency. Adjustments and differences may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In minor units: 129 USD are $ 1.29.
    pub amount: i64,
    /// What the amount is of.
    pub currency: Currency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("{0} and {1} cannot be added")]
    CurrencyMismatch(Currency, Currency),
    #[error("the amount does not fit 64 bits")]
    Overflow,
}

impl Money {
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// # Errors
    /// If the currencies differ or the sum does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch(self.currency, other.currency));
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// # Errors
    /// If the product does not fit.
    pub fn checked_mul(self, quantity: u32) -> Result<Self, MoneyError> {
        let amount = self.amount.checked_mul(i64::from(quantity)).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_do_not_mix_and_sums_do_not_wrap() {
        let usd = Money::new(i64::MAX, Currency::USD);
        assert_eq!(usd.checked_add(Money::new(1, Currency::USD)), Err(MoneyError::Overflow));
        assert_eq!(usd.checked_mul(2), Err(MoneyError::Overflow));
        let mixed = usd.checked_add(Money::zero(Currency::EUR));
        assert_eq!(mixed, Err(MoneyError::CurrencyMismatch(Currency::USD, Currency::EUR)));
    }

    #[test]
    fn every_code_is_known() {
        for code in Currency::codes() {
            assert_eq!(code.parse().as_ref().map(Currency::as_str), Ok(code));
        }
        assert_eq!(Currency::codes().count() * 4, CODES.len());
        let odd = WHOLE.split(' ').chain(THOUSANDTHS.split(' '));
        assert!(odd.clone().all(|code| code.parse::<Currency>().is_ok()), "{odd:?}");
    }

    #[test]
    fn unknown_codes_are_refused() {
        for bad in ["usd", "US", "USDX", "US ", "ZZZ", "AAA", ""] {
            assert_eq!(bad.parse::<Currency>(), Err(InvalidCurrency), "{bad}");
        }
    }
}
