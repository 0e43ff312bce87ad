//! A product of the catalogue and its price: its SKU and the currency of its price never change, and
//! archived is the end.

mod attribute;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, Decide, Evolve, Refusal, RejectionKind},
    id::{ProductId, Sku, StreamId},
    money::{Currency, Money},
    personal::{Texts, texts},
    sku::Listing,
    timestamp::Timestamp,
};

pub use attribute::{Attribute, InvalidNumber, Number};

/// Details as JSON; more is refused. A record of Kafka has 1,000,000 bytes unless configured
/// otherwise, and what the log does not take would stop a shard.
pub const DETAILS_BYTES_MAX: usize = 500_000;

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

/// The stored format. Nothing is renamed, ever; the golden files are the judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A product is in the catalogue, as a draft.
    Created {
        /// Its code.
        sku: Sku,
        /// What describes it.
        details: Details,
        /// Of one.
        price: Money,
    },
    /// Something else describes it.
    Updated {
        /// All details as they are from now on.
        details: Details,
    },
    /// It costs something else.
    PriceChanged {
        /// Of one, from now on.
        price: Money,
    },
    /// It can be sold.
    Published {},
    /// It cannot be sold for now.
    Unpublished {},
    /// It is gone from the catalogue for good, and its code is free.
    Archived {
        /// Why, if nobody asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What describes a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Details {
    /// What it is called.
    pub name: String,
    /// In more words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The widest group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Within the department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Within the category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_type: Option<String>,
    /// Under which it is sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Whatever else there is to say, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// `None` until it is created.
    pub entry: Option<Entry>,
    pub status: Status,
}

/// What the catalogue says about a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub sku: Sku,
    pub details: Details,
    pub price: Money,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    #[default]
    Draft,
    Published,
    Unpublished,
    Archived,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Unpublished => "unpublished",
            Self::Archived => "archived",
        }
    }
}

impl Product {
    /// What a cart may copy of the product as it is at `product_revision`; `None` unless it is
    /// published.
    #[must_use]
    pub fn listing(&self, product_id: ProductId, product_revision: u64) -> Option<Listing> {
        let entry = self.entry.as_ref().filter(|_| self.status == Status::Published)?;
        Some(Listing {
            product_id,
            name: entry.details.name.clone(),
            department: entry.details.department.clone(),
            price: entry.price,
            product_revision,
        })
    }
}

impl Evolve for Product {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Created { sku, details, price } => {
                let (sku, details) = (sku.clone(), details.clone());
                self.entry = Some(Entry { sku, details, price: *price });
            }
            Event::Updated { details } => {
                if let Some(entry) = &mut self.entry {
                    entry.details = details.clone();
                }
            }
            Event::PriceChanged { price } => {
                if let Some(entry) = &mut self.entry {
                    entry.price = *price;
                }
            }
            Event::Published {} => self.status = Status::Published,
            Event::Unpublished {} => self.status = Status::Unpublished,
            Event::Archived { .. } => self.status = Status::Archived,
        }
    }
}

impl Decide for Product {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, _now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Create { sku_taken: true, .. } if self.entry.is_none() => {
                Err(Rejection::SkuTaken)
            }
            Command::Create { sku, details, price, .. } => {
                self.create(Entry { sku: sku.clone(), details: details.clone(), price: *price })
            }
            Command::Update { patch } => update(self.current()?, patch),
            Command::ChangePrice { price } => change_price(self.current()?, *price),
            Command::Publish => {
                self.current()?;
                let published = self.status == Status::Published;
                Ok(if published { vec![] } else { vec![Event::Published {}] })
            }
            Command::Unpublish => {
                self.current()?;
                let published = self.status == Status::Published;
                Ok(if published { vec![Event::Unpublished {}] } else { vec![] })
            }
            Command::Archive => self.archive(None),
            Command::Forfeit { reason } => self.archive(Some(reason.clone())),
        }
    }
}

impl Aggregate for Product {
    const NAME: &'static str = "product";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "e4b65c05239f46e5";
    const TEXTS: &'static [Texts] = texts! {
        "archived": [] ["reason"];
        "created": []
            ["details.attributes", "details.brand", "details.category", "details.department",
            "details.description", "details.name", "details.product_type"];
        "price_changed": [] [];
        "published": [] [];
        "unpublished": [] [];
        "updated": []
            ["details.attributes", "details.brand", "details.category", "details.department",
            "details.description", "details.name", "details.product_type"];
    };

    type Id = ProductId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::testing::{sample::details, sku, usd};
        vec![
            Event::Created { sku: sku("A-1"), details: details(), price: usd(129) },
            Event::Updated { details: details() },
            Event::PriceChanged { price: usd(149) },
            Event::Published {},
            Event::Unpublished {},
            Event::Archived { reason: None },
            Event::Archived { reason: Some("another product has its SKU".into()) },
        ]
    }
}

impl Product {
    fn create(&self, wanted: Entry) -> Result<Vec<Event>, Rejection> {
        match &self.entry {
            Some(entry) if *entry == wanted => return Ok(vec![]),
            Some(_) => return Err(Rejection::Exists),
            None => {}
        }
        let Entry { sku, details, price } = wanted;
        check_details(&details)?;
        check_amount(price)?;
        Ok(vec![Event::Created { sku, details, price }])
    }

    /// What is archived is no longer published, which needs no event of its own.
    fn archive(&self, reason: Option<String>) -> Result<Vec<Event>, Rejection> {
        if self.status == Status::Archived {
            return Ok(vec![]);
        }
        self.current().map(|_| vec![Event::Archived { reason }])
    }

    /// The entry of a product that may still change.
    fn current(&self) -> Result<&Entry, Rejection> {
        let entry = self.entry.as_ref().ok_or(Rejection::NotFound)?;
        if self.status == Status::Archived { Err(Rejection::Archived) } else { Ok(entry) }
    }
}

fn update(entry: &Entry, patch: &Patch) -> Result<Vec<Event>, Rejection> {
    let details = patch.apply(&entry.details);
    check_details(&details)?;
    Ok(if details == entry.details { vec![] } else { vec![Event::Updated { details }] })
}

fn change_price(entry: &Entry, price: Money) -> Result<Vec<Event>, Rejection> {
    check_amount(price)?;
    if price.currency != entry.price.currency {
        return Err(Rejection::CurrencyDiffers { currency: entry.price.currency });
    }
    Ok(if price == entry.price { vec![] } else { vec![Event::PriceChanged { price }] })
}

fn check_details(details: &Details) -> Result<(), Rejection> {
    if details.name.trim().is_empty() {
        return Err(Rejection::NameEmpty);
    }
    let bytes = serde_json::to_string(details).map_or(usize::MAX, |text| text.len());
    if bytes > DETAILS_BYTES_MAX { Err(Rejection::TooLarge) } else { Ok(()) }
}

fn check_amount(price: Money) -> Result<(), Rejection> {
    if price.amount < 0 { Err(Rejection::PriceNegative) } else { Ok(()) }
}

impl Patch {
    fn apply(&self, details: &Details) -> Details {
        let mut patched = details.clone();
        patched.name.clone_from(self.name.as_ref().unwrap_or(&details.name));
        let fields = [
            (&mut patched.description, &self.description),
            (&mut patched.department, &self.department),
            (&mut patched.category, &self.category),
            (&mut patched.product_type, &self.product_type),
            (&mut patched.brand, &self.brand),
        ];
        for (field, change) in fields {
            if let Some(value) = change {
                field.clone_from(value);
            }
        }
        for (name, value) in &self.attributes {
            match value {
                Some(value) => patched.attributes.insert(name.clone(), value.clone()),
                None => patched.attributes.remove(name),
            };
        }
        patched
    }
}

impl ProductId {
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of::<Product>(&self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no product with this id")]
    NotFound,
    #[error("a product with this id exists and says something else: update it, or use another id")]
    Exists,
    #[error("another product has this SKU: choose a SKU that is free")]
    SkuTaken,
    #[error("the product is archived and changes no more: create a new one")]
    Archived,
    #[error("name must not be empty")]
    NameEmpty,
    #[error("the product's text and attributes take more than {DETAILS_BYTES_MAX} bytes of JSON")]
    TooLarge,
    #[error("the amount of a price must not be negative")]
    PriceNegative,
    #[error(
        "the product is priced in {currency}, which cannot change: give the price in {currency}"
    )]
    CurrencyDiffers { currency: Currency },
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound, Rule};
        match self {
            Self::NotFound => (NotFound, "product.not_found"),
            Self::Exists => (Conflict, "product.exists"),
            // As the code itself says it.
            Self::SkuTaken => (Conflict, "sku.taken"),
            Self::Archived => (Conflict, "product.archived"),
            Self::NameEmpty => (Rule, "product.name_empty"),
            Self::TooLarge => (Rule, "product.too_large"),
            Self::PriceNegative => (Rule, "product.price_negative"),
            Self::CurrencyDiffers { .. } => (Rule, "product.currency_differs"),
        }
    }
}
