//! Commands of carts, as guests and staff send them.

use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::harness::client::{Answer, Client};

use super::{
    CASES, checkout,
    sent::{always, draw, needed, nothing, object, optional, runner, uuid},
    shelf::{Shelf, quantity},
    tried::{Tried, assert_shows, read, sent},
};

/// Of no minor unit, of two and of three.
const CURRENCIES: [&str; 3] = ["JPY", "EUR", "BHD"];

/// A cart and what has to be in it.
pub(super) struct Cart<'a> {
    pub(super) tried: &'a Tried<'a>,
    pub(super) shelf: &'a Shelf,
    /// Who made it, and how they open it.
    client: Client,
    token: String,
    pub(super) staff: bool,
    pub(super) id: String,
    /// As they are shown.
    pub(super) lines: Vec<Value>,
}

pub(super) async fn try_all(tried: &Tried<'_>) {
    let mut runner = runner(4);
    let mut shelves = Vec::new();
    for (topic, currency) in (100..).zip(CURRENCIES) {
        shelves.push(Shelf::fill(tried.stack, currency, topic).await);
    }
    let mut checkouts = Vec::new();
    for case in 0..CASES {
        let shelf = &shelves[case % shelves.len()];
        let mut cart = Cart::create(tried, shelf, case % 2 == 0, &mut runner).await;
        cart.add_line(&mut runner).await;
        cart.replace_lines(&mut runner).await;
        cart.change_line(&mut runner).await;
        cart.remove_line(&mut runner).await;
        checkouts.extend(checkout::check_out(&mut cart, &mut runner).await);
    }
    for checkout in &checkouts {
        checkout.comes_to_its_end(tried).await;
    }
}

impl<'a> Cart<'a> {
    /// One as asked for, or an empty one where that is refused: other commands need a cart.
    async fn create(
        tried: &'a Tried<'a>,
        shelf: &'a Shelf,
        staff: bool,
        runner: &mut TestRunner,
    ) -> Self {
        let client = if staff { tried.staff.clone() } else { tried.guest.clone() };
        let currency = prop_oneof![20 => Just(shelf.currency), 1 => select(vec!["XXX", "CLF"])];
        let body = object(vec![
            ("id", optional(uuid().prop_map(|id| json!(id)))),
            ("currency", needed(currency.prop_map(Value::from))),
            ("lines", prop_oneof![6 => always(shelf.lines(staff)), 1 => Just(None)].boxed()),
        ]);
        let body = draw(runner, &body);
        let answer = client.post("/v1/carts", &body).await;
        let (created, lines) = match tried.judge("POST /v1/carts", &body, answer) {
            Some(created) => (created, body["lines"].as_array().cloned().unwrap_or_default()),
            None => {
                let body = json!({"currency": shelf.currency});
                (client.post("/v1/carts", &body).await.expect(201), vec![])
            }
        };
        if body["id"].is_string() && !lines.is_empty() {
            assert_eq!(created.body["id"], body["id"]);
        }
        let token = created.body["cart_token"].as_str().unwrap_or_default().to_owned();
        let (id, lines) = (created.text("/id").to_owned(), shelf.shown(&lines));
        let cart = Self { tried, shelf, client, token, staff, id, lines };
        cart.shows(&created, "open").await;
        cart
    }

    /// What the cart's owner finds at that position.
    pub(super) async fn shows(&self, accepted: &Answer, status: &str) {
        let path = format!("/v1/carts/{}", self.id);
        let shown = read(self.signed(self.client.query(&path)), accepted).await;
        let expected = json!({
            "id": self.id, "status": status, "currency": self.shelf.currency, "staff": self.staff,
            "lines": self.lines, "totals": self.shelf.totals(&self.lines),
            "revision": accepted.body["revision"],
        });
        assert_shows(&shown, &expected);
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        if self.staff { request } else { request.header("Tradewind-Cart-Token", &self.token) }
    }

    pub(super) async fn send(&self, method: Method, action: &str, body: Option<&Value>) -> Answer {
        let request = self.client.command(method, &format!("/v1/carts/{}/{action}", self.id));
        sent(self.signed(request), body).await
    }

    async fn add_line(&mut self, runner: &mut TestRunner) {
        let body = draw(runner, &self.shelf.line(self.staff));
        let answer = self.send(Method::POST, "lines", Some(&body)).await;
        if let Some(added) = self.tried.judge("POST /v1/carts/{id}/lines", &body, answer) {
            let lines: Vec<_> = self.lines.iter().chain([&body]).cloned().collect();
            self.lines = self.shelf.shown(&lines);
            self.shows(&added, "open").await;
        }
    }

    async fn replace_lines(&mut self, runner: &mut TestRunner) {
        let body = object(vec![("lines", needed(self.shelf.lines(self.staff)))]);
        let body = draw(runner, &body);
        let answer = self.send(Method::PUT, "lines", Some(&body)).await;
        if let Some(replaced) = self.tried.judge("PUT /v1/carts/{id}/lines", &body, answer) {
            self.lines = self.shelf.shown(body["lines"].as_array().expect("lines"));
            self.shows(&replaced, "open").await;
        }
    }

    /// A cart that has come to hold nothing gets a plain line: what follows needs one.
    pub(super) async fn has_a_line(&mut self) {
        if self.lines.is_empty() {
            let line = self.shelf.plain_line();
            let _added = self.send(Method::POST, "lines", Some(&line)).await.expect(200);
            self.lines = self.shelf.shown(&[line]);
        }
    }

    async fn change_line(&mut self, runner: &mut TestRunner) {
        self.has_a_line().await;
        let (sku, adjustments) = (self.a_sku(runner), self.shelf.adjustments(self.staff));
        let body = object(vec![
            ("quantity", needed(quantity(0, self.staff))),
            ("adjustments", prop_oneof![9 => adjustments, 1 => Just(Some(Value::Null))].boxed()),
        ]);
        let body = draw(runner, &body);
        let answer = self.send(Method::PATCH, &format!("lines/{sku}"), Some(&body)).await;
        let command = "PATCH /v1/carts/{id}/lines/{sku}";
        let Some(changed) = self.tried.judge(command, &body, answer) else { return };
        if body["quantity"] == 0 {
            self.lines.retain(|line| line["sku"] != sku);
        }
        for line in self.lines.iter_mut().filter(|line| line["sku"] == sku) {
            line["quantity"] = body["quantity"].clone();
            // Null keeps them, as leaving them out does.
            if body["adjustments"].is_array() {
                line["adjustments"] = body["adjustments"].clone();
            }
        }
        self.lines = self.shelf.shown(&self.lines);
        self.shows(&changed, "open").await;
    }

    async fn remove_line(&mut self, runner: &mut TestRunner) {
        self.has_a_line().await;
        let (sku, body) = (self.a_sku(runner), draw(runner, &nothing()));
        let answer = self.send(Method::DELETE, &format!("lines/{sku}"), body.as_ref()).await;
        let command = "DELETE /v1/carts/{id}/lines/{sku}";
        if let Some(removed) = self.tried.judge(command, &json!(body), answer) {
            self.lines.retain(|line| line["sku"] != sku);
            self.shows(&removed, "open").await;
        }
    }

    /// Of one of its lines, mostly.
    fn a_sku(&self, runner: &mut TestRunner) -> String {
        let of = |lines: &[Value]| {
            let skus = lines.iter().map(|line| line["sku"].as_str().expect("a SKU").to_owned());
            select(skus.collect::<Vec<_>>())
        };
        draw(runner, &prop_oneof![9 => of(&self.lines), 1 => of(&self.shelf.products)])
    }
}
