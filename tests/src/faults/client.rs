//! One client: sends a command, with the same key and to one node after another, until it has an
//! answer; remembers what it has seen; looks at the read models from there.

mod purchases;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use infra::http::headers::POSITION;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::action::Action;
use super::history::{Answer, Command, Read, Seen, seen};
use super::load::{Key, Load};
use super::pass::pass;
use super::shop::{Product, Wish, id_of};
use crate::harness::client;

/// How long a client listens to a node before it asks another.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(3);
const RETRY_WAIT_MS: std::ops::Range<u64> = 20..120;
/// Between two wishes.
const THINK_MS: std::ops::Range<u64> = 40..160;

pub(super) struct Client {
    number: usize,
    load: Arc<Load>,
    random: StdRng,
    /// The revision that it last saw of each stream it changed.
    revisions: HashMap<String, u64>,
    /// The token of its last command that was answered, and all it has seen.
    token: Option<String>,
    seen: Seen,
    last: Option<Sent>,
}

/// A command on its way, or answered.
#[derive(Clone)]
struct Sent {
    command: Command,
    /// Of the answer, without what differs from one time to the next.
    body: Value,
}

impl Client {
    pub(super) fn new(number: usize, seed: u64, load: Arc<Load>) -> Self {
        let own = seed.wrapping_mul(1_000_003).wrapping_add(u64::try_from(number).unwrap_or(0));
        Self {
            number,
            load,
            random: StdRng::seed_from_u64(own),
            revisions: HashMap::new(),
            token: None,
            seen: Seen::new(),
            last: None,
        }
    }

    fn key(&self) -> &Key {
        &self.load.keys[self.number % self.load.keys.len()]
    }

    pub(super) async fn run(mut self) {
        while !self.load.closing.is_requested() {
            let wish = self.load.shop.wish(&mut self.random);
            self.fulfil(wish).await;
            let think = self.random.random_range(THINK_MS);
            pass(Duration::from_millis(think)).await;
        }
    }

    /// Makes the products, one after the other.
    pub(super) async fn set_up(&mut self, products: &[Product]) {
        for product in products {
            for action in [product.create(), product.publish(), product.receive()] {
                self.command(action, None).await;
            }
        }
    }

    async fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Command(action, is_conditional) => {
                let known = self.revisions.get(&action.path());
                let if_match = is_conditional.then(|| known.copied().unwrap_or(1));
                self.command(action, if_match).await;
            }
            Wish::Novelty(product) => {
                let cart = id_of(&mut self.random);
                let lines = vec![(product.sku.clone(), 1)];
                let sale = Action::CreateCart { cart, lines };
                for action in [product.create(), product.publish(), sale] {
                    if self.command(action, None).await.is_none() {
                        return;
                    }
                }
            }
            Wish::Order { cart, checkouts } => self.order(cart, checkouts).await,
            Wish::OneKey(sales) => self.one_key(sales).await,
            Wish::OneOrder(sales) => {
                for (cart, checkout) in sales {
                    self.order(cart, vec![checkout]).await;
                }
            }
            Wish::Look { sku } => self.look(sku).await,
            Wish::Again => self.repeat().await,
        }
    }

    /// Sends a command until it is answered or the run is over, and records what came of it.
    async fn command(&mut self, action: Action, if_match: Option<u64>) -> Option<()> {
        let key = id_of(&mut self.random).to_string();
        self.command_under(key, action, if_match).await
    }

    async fn command_under(
        &mut self,
        key: String,
        action: Action,
        if_match: Option<u64>,
    ) -> Option<()> {
        // As it is written down: the caller, its key and the stream.
        let request_id = Uuid::new_v5(&self.key().id, key.as_bytes());
        let command_id = Uuid::new_v5(&request_id, action.stream().as_bytes());
        let began = self.load.history.now();
        let (client, answer, tries) = (self.number, None, 0);
        let mut command =
            Command { client, key, command_id, action, if_match, began, tries, answer };
        let body = self.insist(&mut command).await;
        if let Some(answer) = &command.answer {
            self.remember(&command, answer);
        }
        self.load.history.record(|entries| entries.commands.push(command.clone()));
        self.last = Some(Sent { command, body: body? });
        Some(())
    }

    fn remember(&mut self, command: &Command, answer: &Answer) {
        if answer.status < 300 {
            self.revisions.insert(command.action.path(), answer.revision);
        }
        // Whoever has seen a position may be shown nothing older.
        for (shard, offset) in &answer.seen {
            let known = self.seen.entry(*shard).or_default();
            *known = (*known).max(*offset);
        }
    }

    /// The body of the answer, and the answer in `command`.
    async fn insist(&mut self, command: &mut Command) -> Option<Value> {
        let mut node = self.random.random_range(1..=self.load.fronts.len());
        loop {
            command.tries += 1;
            if let Some((answer, body)) = self.send(node, command).await {
                command.answer = Some(answer);
                return Some(body);
            }
            if self.load.given_up.is_requested() {
                return None;
            }
            let wait = self.random.random_range(RETRY_WAIT_MS);
            pass(Duration::from_millis(wait)).await;
            node = node % self.load.fronts.len() + 1;
        }
    }

    /// One try. Nothing if the outcome is open.
    async fn send(&mut self, node: usize, command: &Command) -> Option<(Answer, Value)> {
        let url = format!("{}{}", self.load.fronts[node - 1], command.action.path());
        let request = self.load.http.request(Method::POST, url).bearer_auth(&self.key().secret);
        let mut request = request.timeout(ANSWER_WAIT_MAX).header("Idempotency-Key", &command.key);
        if let Some(revision) = command.if_match {
            request = request.header("If-Match", format!("\"{revision}\""));
        }
        let came = client::try_send(request.json(&command.action.body())).await.ok()?;
        let text = |name: &str| came.body[name].as_str().unwrap_or_default().to_owned();
        let code = text("code");
        let is_open = matches!(came.status, 408 | 429 | 500..) || code == "request_under_way";
        if is_open {
            return None;
        }
        let token = came.header(POSITION.as_str());
        let ids = came.body["events"].as_array().into_iter().flatten();
        let ids = ids.filter_map(|event| Some(event["id"].as_str()?.to_owned()));
        let answer = Answer {
            at: self.load.history.now(),
            node,
            status: came.status,
            code,
            detail: text("detail"),
            revision: came.body["revision"].as_u64().unwrap_or_default(),
            events: ids.collect(),
            seen: seen(token).unwrap_or_default(),
        };
        if !token.is_empty() {
            self.token = Some(token.to_owned());
        }
        let mut body = came.body;
        if let Some(fields) = body.as_object_mut() {
            fields.remove("trace_id");
        }
        Some((answer, body))
    }

    /// The same command again, on any node: the answer must be the same.
    async fn repeat(&mut self) {
        let Some(last) = self.last.clone() else { return };
        let mut command = Command { answer: None, ..last.command.clone() };
        let Some(body) = self.insist(&mut command).await else { return };
        self.load.history.record(|entries| {
            entries.replays += 1;
            let (first, second) = (&last.command.answer, &command.answer);
            let status = |answer: &Option<Answer>| answer.as_ref().map(|answer| answer.status);
            if status(first) != status(second) || last.body != body {
                let (client, key) = (command.client, &command.key);
                entries.complaints.push(format!(
                    "client {client} asked again with key {key} and got another answer: {body}, \
                     after {}",
                    last.body
                ));
            }
        });
    }

    async fn look(&mut self, sku: String) {
        let began = self.load.history.now();
        let url = format!("{}/v1/stock/{sku}", self.load.query_url);
        let mut request = self.load.http.get(url).bearer_auth(&self.key().secret);
        if let Some(token) = &self.token {
            request = request.header(POSITION, token);
        }
        let asked = self.token.as_deref().and_then(seen).unwrap_or_default();
        let Ok(came) = client::try_send(request.timeout(ANSWER_WAIT_MAX)).await else { return };
        // Stale, or away.
        if came.status >= 500 {
            return;
        }
        let number = |name: &str| came.body[name].as_i64().unwrap_or(i64::MIN);
        let revision = came.header("etag").trim_matches('"').parse().unwrap_or_default();
        let Some(reflected) = seen(came.header(POSITION.as_str())) else {
            let complaint = format!("GET /v1/stock/{sku}: {} {}", came.status, came.body);
            return self.load.history.record(|entries| entries.complaints.push(complaint));
        };
        let (on_hand, reserved) = (number("on_hand"), number("reserved"));
        let client = self.number;
        let read = Read { client, sku, began, asked, seen: reflected, revision, on_hand, reserved };
        self.load.history.record(|entries| entries.reads.push(read));
    }
}
