//! Carts and their checkouts, some under one key, some as one order, and buyers who have to act.

use std::time::Duration;

use rand::Rng;
use serde_json::json;

use super::{ANSWER_WAIT_MAX, Client, RETRY_WAIT_MS, Sent};
use crate::faults::action::{Action, Payment};
use crate::faults::pass::pass;
use crate::faults::shop::id_of;
use crate::harness::{client, signed_webhook};

impl Client {
    pub(super) async fn order(&mut self, cart: Action, checkouts: Vec<Action>) {
        if self.command(cart, None).await.is_none() {
            return;
        }
        for checkout in checkouts {
            self.command(checkout, None).await;
            self.meet_challenge().await;
        }
    }

    /// Checks all carts out under one key, and asks each of them once more.
    pub(super) async fn one_key(&mut self, sales: Vec<(Action, Action)>) {
        let mut checkouts = Vec::new();
        for (cart, checkout) in sales {
            if self.command(cart, None).await.is_none() {
                return;
            }
            checkouts.push(checkout);
        }
        let key = id_of(&mut self.random).to_string();
        let mut sent = Vec::new();
        for checkout in checkouts {
            if self.command_under(key.clone(), checkout, None).await.is_none() {
                return;
            }
            self.meet_challenge().await;
            sent.extend(self.last.clone());
        }
        for once in sent {
            self.last = Some(once);
            self.repeat().await;
        }
    }

    /// If the last checkout asks the buyer to act, has the provider tell that it went well, or not.
    async fn meet_challenge(&mut self) {
        let Some(Sent { command, body }) = &self.last else { return };
        let Action::CheckOut { payment: Payment::Challenged, .. } = command.action else { return };
        let Some(payment_id) = body["payment_id"].as_str().map(str::to_owned) else { return };
        let order_id = body["order_id"].as_str().unwrap_or_default().to_owned();
        let told = if self.random.random_bool(0.5) {
            json!({"type": "payment.authorised", "data": {
                "payment_id": payment_id, "reference": format!("sandbox-{payment_id}"),
            }})
        } else {
            json!({"type": "payment.declined", "data": {
                "payment_id": payment_id, "code": "not_me", "detail": "the buyer gave up",
            }})
        };
        let mut node = 0;
        // Until it is requested, the payment is not there, and never where the order was rejected before;
        // once it is over, it is closed.
        loop {
            node = node % self.load.fronts.len() + 1;
            let url = format!("{}/v1/webhooks/payments/sandbox", self.load.fronts[node - 1]);
            let request = signed_webhook(&self.load.http, &url, &self.load.webhook_secret, &told);
            let came = client::try_send(request.timeout(ANSWER_WAIT_MAX)).await;
            match &came {
                Ok(answer) if matches!(answer.status, 200 | 409) => return,
                Ok(answer) if answer.status == 404 && self.is_rejected(&order_id).await => return,
                Ok(_) | Err(_) if self.load.given_up.is_requested() => {
                    let last = came.map_or_else(
                        |error| error.to_string(),
                        |answer| format!("{} {}", answer.status, answer.body),
                    );
                    let complaint = format!(
                        "the buyer of order {order_id} could not act until the end: {last}"
                    );
                    return self.load.history.record(|entries| entries.complaints.push(complaint));
                }
                Ok(_) | Err(_) => {
                    let wait = self.random.random_range(RETRY_WAIT_MS);
                    pass(Duration::from_millis(wait)).await;
                }
            }
        }
    }

    async fn is_rejected(&self, order_id: &str) -> bool {
        let url = format!("{}/v1/orders/{order_id}", self.load.query_url);
        let request = self.load.http.get(url).bearer_auth(&self.key().secret);
        let seen = client::try_send(request.timeout(ANSWER_WAIT_MAX)).await;
        seen.is_ok_and(|seen| seen.body["status"] == "rejected")
    }
}
