//! What the data set's numbers are called in Tradewind: the same number always gives the same id,
//! so an import that is sent again meets what it made the first time.

use std::{fmt, sync::LazyLock};

use domain::id::{CartId, OrderId, ProductId};
use uuid::Uuid;

static NAMESPACE: LazyLock<Uuid> =
    LazyLock::new(|| Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"tradewind.import"));

/// A basket as the data set numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BasketNumber(pub u64);

impl BasketNumber {
    #[must_use]
    pub fn order_id(self) -> OrderId {
        OrderId::new(derive(&format!("basket-{}", self.0)))
    }

    #[must_use]
    pub fn cart_id(self) -> CartId {
        CartId::new(derive(&format!("cart-{}", self.0)))
    }

    #[must_use]
    pub fn idempotency_key(self, step: &str) -> String {
        format!("basket-{}-{step}", self.0)
    }
}

/// A product as the data set numbers it; as text it is the SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductNumber(pub u64);

impl ProductNumber {
    #[must_use]
    pub fn product_id(self) -> ProductId {
        ProductId::new(derive(&format!("product-{}", self.0)))
    }

    #[must_use]
    pub fn idempotency_key(self, step: &str) -> String {
        format!("product-{}-{step}", self.0)
    }
}

impl fmt::Display for ProductNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn derive(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other tools find imported orders by these ids.
    #[test]
    fn ids_are_fixed() {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"tradewind.import");
        let order = BasketNumber(31_198_570_044).order_id().uuid();
        assert_eq!(order, Uuid::new_v5(&namespace, b"basket-31198570044"));
        let product = ProductNumber(1_095_275).product_id().uuid();
        assert_eq!(product, Uuid::new_v5(&namespace, b"product-1095275"));
        assert_ne!(BasketNumber(1).cart_id().uuid(), BasketNumber(1).order_id().uuid());
    }
}
