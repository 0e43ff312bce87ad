//! What a product has become.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    id::{ProductId, Sku},
    money::Money,
    product::{Details, Event},
    sku::Listing,
};

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
