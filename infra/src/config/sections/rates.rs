//! How much clients may ask.

use std::num::NonZeroU32;

use crate::config::{Reader, Setting};

const ALLOWED: &str = "none, or units a second and how many may be saved up, such as 500/10000";

const ADDRESSES: Setting = Setting {
    key: "http.rate_of_addresses",
    doc: "What all guests of one address (of IPv6: of a /64) may ask. A read weighs 1 unit, a command 2, \
          and some more; the rest gets 429.",
    allowed: ALLOWED,
    default: Some("1000/40000"),
};
const CARTS: Setting = Setting {
    key: "http.rate_of_carts",
    doc: "What the guest of one cart may ask, within what its address may.",
    allowed: ALLOWED,
    default: Some("50/1000"),
};
const CUSTOMERS: Setting = Setting {
    key: "http.rate_of_customers",
    doc: "What a customer's key may ask.",
    allowed: ALLOWED,
    default: Some("500/10000"),
};
const KEYS: Setting = Setting {
    key: "http.rate_of_keys",
    doc: "What a key of staff, analysts or operators may ask. Lines of a batch are not counted.",
    allowed: ALLOWED,
    default: Some("100000/200000"),
};
const UNKNOWN_KEYS: Setting = Setting {
    key: "http.rate_of_unknown_keys",
    doc: "How many keys one address may try that are not known to hold, a key that holds once.",
    allowed: ALLOWED,
    default: Some("20/200"),
};

/// What a bucket holds, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

/// Per kind of client; `None` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub addresses: Option<Rate>,
    pub carts: Option<Rate>,
    pub customers: Option<Rate>,
    pub keys: Option<Rate>,
    pub unknown_keys: Option<Rate>,
}

impl Rates {
    /// Nobody is limited.
    pub const NONE: Self =
        Self { addresses: None, carts: None, customers: None, keys: None, unknown_keys: None };

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        crate::read_all! {
            addresses: reader.get_with(&ADDRESSES, rate),
            carts: reader.get_with(&CARTS, rate),
            customers: reader.get_with(&CUSTOMERS, rate),
            keys: reader.get_with(&KEYS, rate),
            unknown_keys: reader.get_with(&UNKNOWN_KEYS, rate),
        }
    }
}

/// `500/10000`, or `none`.
fn rate(text: &str) -> Option<Option<Rate>> {
    if text.trim() == "none" {
        return Some(None);
    }
    let (per_second, burst) = text.split_once('/')?;
    let number = |text: &str| text.trim().parse().ok();
    Some(Some(Rate { per_second: number(per_second)?, burst: number(burst)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_two_numbers_that_are_not_nothing() {
        assert_eq!(rate("none"), Some(None));
        assert!(rate("5/10").is_some_and(|rate| rate.is_some_and(|rate| rate.burst.get() == 10)));
        for bad in ["", "5", "0/10", "5/0", "5/-1", "5/10/1", "5000000000/1"] {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }
}
