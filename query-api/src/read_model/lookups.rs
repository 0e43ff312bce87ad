//! Reads of one thing by its key, all of which share statements (`batch`).

use bytes::Bytes;
use domain::{
    envelope::Revision,
    id::{CartId, Sku},
};
use infra::{
    auth::{Issued, issued_keys},
    postgres::Pool,
};
#[cfg(any(test, feature = "testing"))]
use read_models::wish_lists::WishList;
use read_models::{
    Shown,
    carts::Cart,
    orders::{CART_ID, Order},
    products::Product,
    stock::Stock,
};
use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::{
    batch::{Lookup, Rows},
    error::undecodable,
};

/// One thing with its revision, as clients see it: JSON that is made once and handed on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entity {
    pub(crate) revision: Revision,
    /// A JSON object. Clones share it.
    pub(crate) body: Bytes,
}

impl Entity {
    fn of(revision: Revision, value: &impl Serialize) -> Result<Self, sqlx::Error> {
        let body = serde_json::to_vec(value).map_err(undecodable)?;
        Ok(Self { revision, body: body.into() })
    }

    /// A stored document, which is not parsed.
    fn shown<H: Serialize, T>(shown: &Shown<H, T>) -> Result<Self, sqlx::Error> {
        let body = shown.to_json().map_err(undecodable)?;
        Ok(Self { revision: revision(shown.revision)?, body: body.into() })
    }
}

/// A revision as a column holds it.
fn revision(column: i64) -> Result<Revision, sqlx::Error> {
    Revision::try_from(column).map_err(undecodable)
}

/// Issued keys, for the authenticator.
pub(crate) struct ApiKeys;

impl Lookup for ApiKeys {
    const NAME: &'static str = "api_keys";
    type Key = Uuid;
    type Row = Issued;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Rows<Self>, sqlx::Error> {
        issued_keys(pool, ids).await
    }
}

pub(crate) struct Carts;

impl Lookup for Carts {
    const NAME: &'static str = "carts";
    type Key = Uuid;
    type Row = Entity;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Rows<Self>, sqlx::Error> {
        let sql = "SELECT id, status, doc, revision FROM read.carts WHERE id = ANY($1)";
        let carts: Vec<Cart> = sqlx::query_as(sql).bind(ids).fetch_all(pool).await?;
        carts.iter().map(|cart| Ok((cart.head.id, Entity::shown(cart)?))).collect()
    }
}

pub(crate) struct Orders;

/// An order, and whose token opens it.
#[derive(Clone, Debug)]
pub(crate) struct FoundOrder {
    pub(crate) entity: Entity,
    /// The cart that became the order.
    pub(crate) cart: Option<CartId>,
}

#[derive(FromRow)]
struct OrderOfCart {
    #[sqlx(flatten)]
    order: Order,
    cart: Option<Uuid>,
}

impl Lookup for Orders {
    const NAME: &'static str = "orders";
    type Key = Uuid;
    type Row = FoundOrder;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Rows<Self>, sqlx::Error> {
        let sql = format!(
            "SELECT id, doc, revision, {CART_ID} AS cart FROM read.orders WHERE id = ANY($1)"
        );
        let rows: Vec<OrderOfCart> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await?;
        let found = |OrderOfCart { order, cart }: OrderOfCart| {
            let (entity, cart) = (Entity::shown(&order)?, cart.map(CartId::new));
            Ok((order.head.id, FoundOrder { entity, cart }))
        };
        rows.into_iter().map(found).collect()
    }
}

pub(crate) struct Products;

/// A product, and whether everybody may see it.
#[derive(Clone, Debug)]
pub(crate) struct FoundProduct {
    pub(crate) entity: Entity,
    pub(crate) is_published: bool,
}

impl FoundProduct {
    fn of(product: &Product) -> Result<Self, sqlx::Error> {
        let entity = Entity::of(product.revision, product)?;
        Ok(Self { entity, is_published: product.is_published() })
    }
}

impl Lookup for Products {
    const NAME: &'static str = "products";
    type Key = Uuid;
    type Row = FoundProduct;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Rows<Self>, sqlx::Error> {
        let sql = "
            SELECT id, sku, name, description, department, category, product_type, brand,
                   attributes, price_amount, price_currency, status, created_at, updated_at,
                   revision
            FROM read.products WHERE id = ANY($1)";
        let products: Vec<Product> = sqlx::query_as(sql).bind(ids).fetch_all(pool).await?;
        products.iter().map(|product| Ok((product.id, FoundProduct::of(product)?))).collect()
    }
}

/// Several products may have had a SKU one after the other; the one that is not archived has it now.
/// If there is none, the one that had it last counts.
pub(crate) struct ProductsBySku;

impl Lookup for ProductsBySku {
    const NAME: &'static str = "products_by_sku";
    type Key = Sku;
    type Row = FoundProduct;

    async fn find(pool: &Pool, skus: &[Sku]) -> Result<Rows<Self>, sqlx::Error> {
        let sql = "
            SELECT DISTINCT ON (sku)
                   id, sku, name, description, department, category, product_type, brand,
                   attributes, price_amount, price_currency, status, created_at, updated_at,
                   revision
            FROM read.products WHERE sku = ANY($1)
            ORDER BY sku, status = 'archived', status <> 'published', created_at DESC";
        let products: Vec<Product> = sqlx::query_as(sql).bind(texts(skus)).fetch_all(pool).await?;
        let found =
            |it: &Product| Ok((it.sku.parse().map_err(undecodable)?, FoundProduct::of(it)?));
        products.iter().map(found).collect()
    }
}

pub(crate) struct StockBySku;

impl Lookup for StockBySku {
    const NAME: &'static str = "stock";
    type Key = Sku;
    type Row = Entity;

    async fn find(pool: &Pool, skus: &[Sku]) -> Result<Rows<Self>, sqlx::Error> {
        let sql = "SELECT sku, on_hand, reserved, available, revision
                   FROM read.stock WHERE sku = ANY($1)";
        let rows: Vec<Stock> = sqlx::query_as(sql).bind(texts(skus)).fetch_all(pool).await?;
        let found = |stock: &Stock| {
            let sku = stock.sku.parse().map_err(undecodable)?;
            Ok((sku, Entity::of(revision(stock.revision)?, stock)?))
        };
        rows.iter().map(found).collect()
    }
}

fn texts(skus: &[Sku]) -> Vec<&str> {
    skus.iter().map(Sku::as_str).collect()
}

/// The worked example of docs/adding.md.
#[cfg(any(test, feature = "testing"))]
pub(crate) struct WishLists;

#[cfg(any(test, feature = "testing"))]
impl Lookup for WishLists {
    const NAME: &'static str = "wish_lists";
    type Key = Uuid;
    type Row = Entity;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Rows<Self>, sqlx::Error> {
        let sql = "SELECT id, doc, revision FROM read.wish_lists WHERE id = ANY($1)";
        let lists: Vec<WishList> = sqlx::query_as(sql).bind(ids).fetch_all(pool).await?;
        lists.iter().map(|list| Ok((list.head.id, Entity::shown(list)?))).collect()
    }
}
