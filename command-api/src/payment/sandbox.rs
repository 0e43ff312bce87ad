//! A provider that moves no money: the method token chooses what happens.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::PaymentId;
use infra::clock::Clock;

use super::{Authorisation, Decision, PaymentProvider, ProviderUnavailable};

/// How long after the payment's deadline `tok_timeout` answers.
const LATE_BY: Duration = Duration::from_secs(1);

/// The tokens are part of the API: `tok_ok`, `tok_declined`, `tok_insufficient_funds`,
/// `tok_timeout`, `tok_3ds` and `cash`.
#[derive(Clone, Debug)]
pub struct Sandbox {
    clock: Clock,
}

impl Sandbox {
    pub const NAME: &'static str = "sandbox";

    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

#[async_trait]
impl PaymentProvider for Sandbox {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn authorise(&self, request: &Authorisation) -> Result<Decision, ProviderUnavailable> {
        let reference = format!("sandbox-{}", request.payment_id);
        Ok(match request.method_token.as_str() {
            "tok_ok" | "cash" => Decision::Authorised { reference },
            "tok_3ds" => Decision::ActionRequired { reference },
            "tok_timeout" => {
                let late = request.expires_at.plus(LATE_BY).since(self.clock.now());
                tokio::time::sleep(late).await;
                Decision::Authorised { reference }
            }
            "tok_declined" => declined("card_declined", "the card was declined"),
            "tok_insufficient_funds" => {
                declined("insufficient_funds", "the account does not cover the amount")
            }
            _ => declined("unknown_token", "the sandbox does not know this method token"),
        })
    }

    async fn void(&self, payment_id: PaymentId) -> Result<(), ProviderUnavailable> {
        tracing::info!(payment.id = %payment_id, "voided payment {payment_id}");
        Ok(())
    }
}

fn declined(code: &str, detail: &str) -> Decision {
    Decision::Declined { code: code.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use domain::{
        money::{Currency, Money},
        timestamp::Timestamp,
    };
    use infra::clock::ManualClock;
    use uuid::Uuid;

    use super::*;

    async fn decide(token: &str) -> Decision {
        let now = Timestamp::from_micros(1_000_000);
        let request = Authorisation {
            payment_id: PaymentId::new(Uuid::nil()),
            amount: Money::new(500, Currency::USD),
            method_token: token.to_owned(),
            expires_at: now.plus(Duration::from_secs(30)),
        };
        Sandbox::new(ManualClock::at(now).into()).authorise(&request).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_token_chooses_the_answer() {
        let reference = format!("sandbox-{}", Uuid::nil());
        let authorised = Decision::Authorised { reference: reference.clone() };
        assert_eq!(decide("tok_ok").await, authorised);
        assert_eq!(decide("cash").await, authorised);
        assert_eq!(decide("tok_3ds").await, Decision::ActionRequired { reference });
        for (token, expected) in [
            ("tok_declined", "card_declined"),
            ("tok_insufficient_funds", "insufficient_funds"),
            ("tok_of_another_provider", "unknown_token"),
        ] {
            let decision = decide(token).await;
            assert!(
                matches!(&decision, Decision::Declined { code, .. } if code == expected),
                "{token}: {decision:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_timeout_token_answers_after_the_deadline() {
        let asked = tokio::time::Instant::now();
        assert!(matches!(decide("tok_timeout").await, Decision::Authorised { .. }));
        assert!(asked.elapsed() > Duration::from_secs(30));
    }
}
