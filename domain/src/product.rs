//! A product of the catalogue and its price.

mod attribute;
mod command;
mod decide;
mod event;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

use crate::{
    aggregate::Aggregate,
    id::{ProductId, StreamId},
};

pub use attribute::{Attribute, InvalidNumber, Number};
pub use command::*;
pub use event::*;
pub use rejection::{DETAILS_BYTES_MAX, Rejection};
pub use state::*;

impl Aggregate for Product {
    const NAME: &'static str = "product";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "e4b65c05239f46e5";

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

impl ProductId {
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of::<Product>(&self)
    }
}
