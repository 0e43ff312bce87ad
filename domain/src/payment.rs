//! One payment of an order through a provider: requested, then authorised, declined or expired.

mod command;
mod decide;
mod event;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

use crate::{
    aggregate::Aggregate,
    id::{PaymentId, StreamId},
};

pub use command::*;
pub use decide::*;
pub use event::*;
pub use rejection::Rejection;
pub use state::*;

impl Aggregate for Payment {
    const NAME: &'static str = "payment";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "8a28e0552c3ecc5a";

    type Id = PaymentId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use std::time::Duration;

        use crate::{
            id::OrderId,
            testing::{NOW, usd, uuid},
        };
        let order_id = OrderId::new(uuid(2));
        let amount = usd(250);
        vec![
            Event::Requested {
                order_id,
                amount,
                provider: "sandbox".into(),
                method_token: "tok_ok".into(),
                expires_at: NOW.plus(ANSWER_WAIT),
                ask_again_at: None,
            },
            Event::Requested {
                order_id,
                amount,
                provider: "sandbox".into(),
                method_token: "tok_ok".into(),
                expires_at: NOW.plus(ANSWER_WAIT),
                ask_again_at: Some(NOW.plus(ASK_AGAIN_AFTER)),
            },
            Event::AskedAgain { attempt: 2, ask_again_at: Some(NOW.plus(Duration::from_secs(30))) },
            Event::ActionRequired { reference: "pay_1".into(), expires_at: NOW.plus(ACTION_WAIT) },
            Event::Authorised { order_id, amount, reference: "pay_1".into() },
            Event::Declined {
                order_id,
                code: "card_declined".into(),
                detail: "The card was declined.".into(),
            },
            Event::Expired { order_id },
            Event::Voided { reason: "order_rejected".into() },
        ]
    }
}

impl PaymentId {
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of::<Payment>(&self)
    }
}
