//! The shop that the load is put on: products with stock, some of it scarce, so that commands are
//! refused too.

use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::action::{Action, Payment};

const PRODUCTS: usize = 32;
/// Of those, products of which little is there.
const SCARCE: usize = 8;
const UNITS_SCARCE: u32 = 10;
const UNITS: u32 = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) id: Uuid,
    pub(super) sku: String,
    units: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Shop {
    products: Vec<Product>,
}

/// What a client does next.
pub(super) enum Wish {
    /// One command; the flag asks for the revision that the client last saw of the stream.
    Command(Action, bool),
    /// A product that is sold the moment it is published.
    Novelty(Product),
    /// A cart, checked out once or twice.
    Order { cart: Action, checkouts: Vec<Action> },
    /// Several carts, whose checkouts all come under one key.
    OneKey(Vec<(Action, Action)>),
    /// Two carts that are to become the same order.
    OneOrder([(Action, Action); 2]),
    /// At a stock.
    Look { sku: String },
    /// The last command once more.
    Again,
}

impl Product {
    fn new(sku: String, units: u32) -> Self {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, sku.as_bytes());
        Self { id, sku, units }
    }

    pub(super) fn create(&self) -> Action {
        Action::CreateProduct { product: self.id, sku: self.sku.clone() }
    }

    pub(super) fn publish(&self) -> Action {
        Action::Publish { product: self.id }
    }

    pub(super) fn receive(&self) -> Action {
        Action::Receive { sku: self.sku.clone(), quantity: self.units }
    }
}

impl Shop {
    pub(super) fn new() -> Self {
        let scarce = (0..SCARCE).map(|number| Product::new(format!("rare-{number}"), UNITS_SCARCE));
        let ample = (SCARCE..PRODUCTS).map(|number| Product::new(format!("tea-{number}"), UNITS));
        Self { products: scarce.chain(ample).collect() }
    }

    pub(super) fn products(&self) -> &[Product] {
        &self.products
    }

    pub(super) fn wish(&self, random: &mut StdRng) -> Wish {
        let product = &self.products[random.random_range(0..PRODUCTS)];
        let (id, sku) = (product.id, product.sku.clone());
        match random.random_range(0..100) {
            0..24 => {
                let quantity = random.random_range(1..=3);
                Wish::Command(Action::Receive { sku, quantity }, false)
            }
            24..44 => {
                let delta = -random.random_range(1..=4);
                Wish::Command(Action::Adjust { sku, delta }, false)
            }
            44..56 => Wish::Command(Action::Receive { sku, quantity: 1 }, true),
            56..60 => {
                let amount = random.random_range(100..1_000);
                Wish::Command(Action::Price { product: id, amount }, false)
            }
            60..62 => Wish::Novelty(Product::new(format!("new-{}", id_of(random)), UNITS)),
            62..74 => self.order(random),
            74..77 => Wish::OneKey((0..3).map(|_| self.sale(random, None)).collect()),
            77..80 => {
                let order = Some(id_of(random));
                Wish::OneOrder([self.sale(random, order), self.sale(random, order)])
            }
            80..94 => Wish::Look { sku },
            _ => Wish::Again,
        }
    }

    fn order(&self, random: &mut StdRng) -> Wish {
        let (cart, first) = self.sale(random, None);
        let mut checkouts = vec![first];
        if random.random_bool(0.1) {
            checkouts.extend(checkouts[0].with_order(id_of(random)));
        }
        Wish::Order { cart, checkouts }
    }

    /// A cart and its checkout, as an order that others may want to become, too.
    fn sale(&self, random: &mut StdRng, shared: Option<Uuid>) -> (Action, Action) {
        let first = random.random_range(0..PRODUCTS);
        let count = random.random_range(1..=2);
        let lines = (first..first + count)
            .map(|number| self.products[number % PRODUCTS].sku.clone())
            .map(|sku| (sku, random.random_range(1..=2)))
            .collect();
        let (cart, payment, taken) = (id_of(random), payment(random), shared.is_some());
        let order = shared.unwrap_or_else(|| id_of(random));
        (Action::CreateCart { cart, lines }, Action::CheckOut { cart, order, payment, taken })
    }
}

fn payment(random: &mut StdRng) -> Payment {
    match random.random_range(0..20) {
        0..11 => Payment::Cash,
        11..16 => Payment::Card,
        16 => Payment::Hanging,
        17 => Payment::Challenged,
        _ => Payment::DeclinedCard,
    }
}

/// A random id that the seed decides.
pub(super) fn id_of(random: &mut StdRng) -> Uuid {
    uuid::Builder::from_random_bytes(random.random()).into_uuid()
}
