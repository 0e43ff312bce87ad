//! The projections whose read models are read here. Others exist; nobody waits for them.

use infra::{
    auth::API_KEYS,
    freshness::{Projection, Reads},
};

pub(crate) const CARTS: Projection = Projection("carts");
pub(crate) const ORDERS: Projection = Projection("orders");
pub(crate) const PRODUCTS: Projection = Projection("products");
pub(crate) const SALES: Projection = Projection("sales");
pub(crate) const STOCK: Projection = Projection("stock");

pub(crate) const ALL: &[Projection] = &[API_KEYS, CARTS, ORDERS, PRODUCTS, SALES, STOCK];

pub(crate) const READS: Reads = Reads {
    projections: ALL,
    views: &[
        "api_keys",
        "carts",
        "orders",
        "parked_streams",
        "positions",
        "products",
        "sales",
        "sales_totals",
        "stock",
    ],
};
