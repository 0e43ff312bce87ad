//! What a setting is, before anybody has read it, and what texts of settings look like.

use std::{ops::RangeBounds, str::FromStr, time::Duration};

/// One setting, as the reference page shows it.
#[derive(Debug)]
pub struct Setting {
    /// `<section>.<key>`
    pub key: &'static str,
    /// What it decides, with its unit.
    pub doc: &'static str,
    /// The values that it takes, as they follow "allowed is".
    pub allowed: &'static str,
    pub default: Option<&'static str>,
}

/// Declares settings: above each what it decides, then its key, the values that it takes and its
/// default.
#[macro_export]
macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $vis:vis $name:ident = $key:literal, $allowed:expr, $default:expr;
    )+) => {$(
        $(#[doc = $doc])+
        $vis const $name: $crate::config::Setting = $crate::config::Setting {
            key: $key,
            doc: concat!($($doc),+).trim_ascii_start(),
            allowed: $allowed,
            default: $default,
        };
    )+};
}

/// `http.bind` is `TRADEWIND_HTTP__BIND`.
pub(super) fn variable(key: &str) -> String {
    format!("TRADEWIND_{}", key.replacen('.', "__", 1).to_uppercase())
}

/// A number within a range.
pub fn within<T: FromStr + PartialOrd>(range: impl RangeBounds<T>) -> impl Fn(&str) -> Option<T> {
    move |text| text.parse().ok().filter(|number| range.contains(number))
}

/// A text of at least one character.
pub(super) fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A duration such as `250ms`, `10s` or `5m`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

/// A number of bytes such as `4096`, `64KiB`, `512MiB` or `2GiB`.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit)?;
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}
