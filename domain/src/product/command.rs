//! What can be asked of a product.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    id::Sku,
    money::Money,
    product::{Attribute, Details},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Create {
        sku: Sku,
        details: Details,
        price: Money,
        /// Another product has the code.
        sku_taken: bool,
    },
    Update {
        patch: Patch,
    },
    ChangePrice {
        price: Money,
    },
    Publish,
    Unpublish,
    Archive,
    /// Archives a product that cannot stay as it is.
    Forfeit {
        reason: String,
    },
}

/// A JSON merge patch (RFC 7396) of the details: absent keeps, `Some(None)` removes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub department: Option<Option<String>>,
    pub category: Option<Option<String>>,
    pub product_type: Option<Option<String>>,
    pub brand: Option<Option<String>>,
    /// `None` as a value removes the attribute.
    pub attributes: BTreeMap<String, Option<Attribute>>,
}
