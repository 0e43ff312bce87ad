//! Amounts as documents have them.

use domain::money::{self, Currency};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount in minor units of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// Minor units: 1250 is 12.50 USD.
    #[schema(example = 1250)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
}

impl From<money::Money> for Money {
    fn from(money::Money { amount, currency }: money::Money) -> Self {
        Self { amount, currency }
    }
}

impl From<Money> for money::Money {
    fn from(Money { amount, currency }: Money) -> Self {
        Self { amount, currency }
    }
}
