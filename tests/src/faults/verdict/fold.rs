//! The log, folded by its written rules: where each command stands, every state that a stock has
//! ever been in, and what orders and sales come to.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::audit::{Commit, Kind, Observer, Record};

/// The place of a command's outcome in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shard: u32,
    pub(super) next_offset: i64,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The ids of its events and the last revision.
    Events(Vec<String>, u64),
    /// The status of the answer that a barrier keeps.
    Kept(u64),
}

/// A stock after one of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stock {
    pub(super) shard: u32,
    pub(super) next_offset: i64,
    pub(super) revision: u64,
    pub(super) on_hand: i64,
    pub(super) reserved: i64,
}

/// A cart that was checked out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cart {
    /// Checkouts that stand: one, or none if the last was refused.
    pub(super) standing: u32,
    /// Of the last one.
    pub(super) order: String,
    /// Orders as which a checkout was refused, each with a reason.
    pub(super) refused: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) status: &'static str,
    pub(super) revision: u64,
    pub(super) channel: String,
    /// The first ten characters of when it was placed.
    pub(super) day: String,
    /// SKU, quantity, total.
    pub(super) lines: Vec<(String, i64, i64)>,
    pub(super) total: i64,
    pub(super) paid: i64,
    pub(super) cart: String,
    departments: Vec<(String, i64, i64)>,
}

/// Orders, units and revenue.
pub(super) type Figures = (i64, i64, i64);

#[derive(Debug, Default)]
pub(super) struct Fold {
    /// By command id.
    pub(super) places: HashMap<String, Place>,
    /// Every commit and barrier of a shard in order, with the commands that it settles.
    pub(super) shards: BTreeMap<u32, Vec<(i64, Vec<String>)>>,
    /// By SKU, from the first state on.
    pub(super) stocks: BTreeMap<String, Vec<Stock>>,
    pub(super) orders: BTreeMap<String, Order>,
    /// By day, department and channel.
    pub(super) sales: BTreeMap<(String, String, String), Figures>,
    /// What became of each cart that was ever checked out.
    pub(super) carts: BTreeMap<String, Cart>,
    /// Units that left each stock for an order, without those that were put back.
    pub(super) taken: BTreeMap<String, i64>,
    /// Units that left a stock under a reservation and have not been put back.
    committed: HashMap<(String, String), i64>,
    /// Money that providers hold, by payment, with its order.
    pub(super) held: BTreeMap<String, String>,
    /// Steps of processes that nobody could do, and what operators have not settled of them.
    pub(super) parked: BTreeMap<String, String>,
    pub(super) faults: Vec<String>,
}

impl Observer for Fold {
    fn observe(&mut self, commit: &Commit) {
        let Some(first) = commit.records.first() else { return };
        let shard = u32::try_from(commit.partition).unwrap_or(u32::MAX);
        let next_offset = commit.next_offset;
        let settled = match first.kind {
            Kind::Barrier => first
                .outcomes
                .iter()
                .map(|kept| (kept.command_id.clone(), Outcome::Kept(kept.status)))
                .collect(),
            Kind::Claim => vec![],
            Kind::Event => {
                let ids = commit.records.iter().map(|record| record.id.clone()).collect();
                let revision = commit.records.last().map_or(0, |record| record.revision);
                vec![(first.command_id.clone(), Outcome::Events(ids, revision))]
            }
        };
        let ids = settled.iter().map(|(id, _)| id.clone()).collect();
        self.shards.entry(shard).or_default().push((next_offset, ids));
        for (id, outcome) in settled {
            self.places.insert(id, Place { shard, next_offset, outcome });
        }
        if first.kind == Kind::Event {
            for record in &commit.records {
                self.apply(record, shard, next_offset);
            }
        }
    }
}

impl Fold {
    fn apply(&mut self, record: &Record, shard: u32, next_offset: i64) {
        let Some((stream, key)) = record.key.split_once('/') else { return };
        match stream {
            "stock" => self.apply_to_stock(key, record, (shard, next_offset)),
            "order" => self.apply_to_order(key, record),
            "cart" => self.apply_to_cart(key, record),
            "payment" => self.apply_to_payment(key, record),
            "process" => self.apply_to_process(record),
            _ => {}
        }
    }

    fn apply_to_cart(&mut self, id: &str, record: &Record) {
        let text = |name: &str| record.value[name].as_str().unwrap_or_default().to_owned();
        match record.event_type.as_str() {
            "tradewind.cart.checked_out.v1" => {
                let cart = self.carts.entry(id.to_owned()).or_default();
                cart.standing += 1;
                cart.order = text("order_id");
            }
            "tradewind.cart.checkout_refused.v1" => {
                let cart = self.carts.entry(id.to_owned()).or_default();
                cart.standing = cart.standing.saturating_sub(1);
                cart.refused.push((text("order_id"), text("code")));
            }
            "tradewind.cart.created.v1"
            | "tradewind.cart.line_added.v1"
            | "tradewind.cart.line_changed.v1"
            | "tradewind.cart.line_removed.v1"
            | "tradewind.cart.lines_replaced.v1"
            | "tradewind.cart.abandoned.v1"
            | "tradewind.cart.ended.v1" => {}
            other => self.faults.push(format!("cart/{id}: an event of type {other}")),
        }
    }

    fn apply_to_payment(&mut self, id: &str, record: &Record) {
        match record.event_type.as_str() {
            "tradewind.payment.authorised.v1" => {
                let order = record.value["order_id"].as_str().unwrap_or_default();
                self.held.insert(id.to_owned(), order.to_owned());
            }
            "tradewind.payment.voided.v1" => drop(self.held.remove(id)),
            "tradewind.payment.requested.v1"
            | "tradewind.payment.asked_again.v1"
            | "tradewind.payment.action_required.v1"
            | "tradewind.payment.declined.v1"
            | "tradewind.payment.expired.v1" => {}
            other => self.faults.push(format!("payment/{id}: an event of type {other}")),
        }
    }

    fn apply_to_process(&mut self, record: &Record) {
        let text = |name: &str| record.value[name].as_str().unwrap_or_default().to_owned();
        match record.event_type.as_str() {
            "tradewind.process.step_parked.v1" => {
                self.parked.insert(text("step_id"), record.value["step"]["event_id"].to_string());
            }
            "tradewind.process.event_settled.v1" => {
                let event = record.value["event_id"].to_string();
                self.parked.retain(|_, of| *of != event);
            }
            "tradewind.process.step_retried.v1" | "tradewind.process.step_skipped.v1" => {}
            other => self.faults.push(format!("{}: an event of type {other}", record.key)),
        }
    }

    fn apply_to_stock(&mut self, sku: &str, record: &Record, at: (u32, i64)) {
        let states = self.stocks.entry(sku.to_owned()).or_default();
        let mut stock = states.last().copied().unwrap_or_default();
        let number = |name: &str| record.value[name].as_i64().unwrap_or_default();
        let quantity = number("quantity");
        match record.event_type.as_str() {
            "tradewind.stock.received.v1" => stock.on_hand += quantity,
            "tradewind.stock.adjusted.v1" => stock.on_hand += number("delta"),
            "tradewind.stock.returned.v1" => {
                stock.on_hand += quantity;
                *self.taken.entry(sku.to_owned()).or_default() -= quantity;
                self.faults.extend(put_back(&mut self.committed, sku, &record.value));
            }
            "tradewind.stock.reserved.v1" => stock.reserved += quantity,
            "tradewind.stock.released.v1" | "tradewind.stock.expired.v1" => {
                stock.reserved -= quantity;
            }
            "tradewind.stock.committed.v1" => {
                stock.on_hand -= quantity;
                stock.reserved -= quantity;
                *self.taken.entry(sku.to_owned()).or_default() += quantity;
                let reservation = record.value["reservation_id"].to_string();
                self.committed.insert((sku.to_owned(), reservation), quantity);
            }
            other => self.faults.push(format!("stock/{sku}: an event of type {other}")),
        }
        let (shard, next_offset) = at;
        let stock = Stock { shard, next_offset, revision: record.revision, ..stock };
        if stock.reserved < 0 || stock.reserved > stock.on_hand {
            self.faults.push(format!("stock/{sku}: more is promised than is there: {stock:?}"));
        }
        states.push(stock);
    }

    fn apply_to_order(&mut self, id: &str, record: &Record) {
        let value = &record.value;
        if record.event_type == "tradewind.order.placed.v1" {
            let order = Order::placed(value, record.revision);
            if self.orders.insert(id.to_owned(), order).is_some() {
                self.faults.push(format!("order/{id}: placed twice"));
            }
            return;
        }
        let Some(order) = self.orders.get_mut(id) else {
            return self.faults.push(format!("order/{id}: {} first", record.event_type));
        };
        order.revision = record.revision;
        match record.event_type.as_str() {
            "tradewind.order.confirmed.v1" => {
                order.status = "confirmed";
                order.paid += amount(&value["paid"]);
                for (department, units, revenue) in &order.departments {
                    let key = (order.day.clone(), department.clone(), order.channel.clone());
                    let figures = self.sales.entry(key).or_default();
                    *figures = (figures.0 + 1, figures.1 + units, figures.2 + revenue);
                }
            }
            "tradewind.order.rejected.v1" => order.status = "rejected",
            "tradewind.order.stock_reserved.v1" => {}
            other => self.faults.push(format!("order/{id}: an event of type {other}")),
        }
    }

    /// The offset after the last commit of each shard.
    pub(super) fn ends(&self) -> BTreeMap<u32, i64> {
        let last = |commits: &Vec<(i64, _)>| commits.last().map_or(0, |(offset, _)| *offset);
        self.shards.iter().map(|(shard, commits)| (*shard, last(commits))).collect()
    }
}

impl Order {
    fn placed(value: &Value, revision: u64) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let lines = value["lines"].as_array().map_or(&[][..], Vec::as_slice);
        let mut departments = BTreeMap::<String, (i64, i64)>::new();
        for line in lines {
            let department = line["department"].as_str().unwrap_or("UNKNOWN").to_owned();
            let sold = departments.entry(department).or_default();
            sold.0 += line["quantity"].as_i64().unwrap_or_default();
            sold.1 += amount(&line["total"]);
        }
        Self {
            status: "pending",
            revision,
            channel: text("channel"),
            day: text("placed_at").chars().take(10).collect(),
            lines: lines.iter().map(line).collect(),
            total: amount(&value["totals"]["total"]),
            paid: 0,
            cart: text("cart_id"),
            departments: departments.into_iter().map(|(name, it)| (name, it.0, it.1)).collect(),
        }
    }
}

/// What is wrong if units come back of what was not taken, or once more.
fn put_back(
    committed: &mut HashMap<(String, String), i64>,
    sku: &str,
    returned: &Value,
) -> Option<String> {
    let reservation = returned["reservation_id"].to_string();
    let taken = committed.remove(&(sku.to_owned(), reservation.clone())).unwrap_or_default();
    let quantity = returned["quantity"].as_i64().unwrap_or_default();
    let told = format!("stock/{sku}: {quantity} units put back of {reservation}, {taken} taken");
    (taken != quantity).then_some(told)
}

/// SKU, quantity and total of a line, in an event or in a read model.
pub(super) fn line(line: &Value) -> (String, i64, i64) {
    let sku = line["sku"].as_str().unwrap_or_default().to_owned();
    (sku, line["quantity"].as_i64().unwrap_or_default(), amount(&line["total"]))
}

pub(super) fn amount(money: &Value) -> i64 {
    money["amount"].as_i64().unwrap_or(i64::MIN)
}
