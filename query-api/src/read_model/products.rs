//! The catalogue in pages: filters, orders, and where a page goes on.
//!
//! Each combination of filters is a statement of its own, so that PostgreSQL plans for what is
//! asked and not for everything that could be.

use domain::timestamp::Timestamp;
use read_models::products::Product;
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ReadError, ReadModel, error::in_time};

const COLUMNS: &str = "
    SELECT p.id, p.sku, p.name, p.description, p.department, p.category, p.product_type, p.brand,
           p.attributes, p.price_amount, p.price_currency, p.status, p.created_at,
           p.updated_at, p.revision
    FROM read.products p WHERE true";

/// What the listed products have in common.
#[derive(Debug, Default)]
pub(crate) struct ProductFilter {
    pub(crate) published_only: bool,
    pub(crate) department: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) brand: Option<String>,
    pub(crate) min_price: Option<i64>,
    pub(crate) max_price: Option<i64>,
    pub(crate) in_stock: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProductSort {
    Name,
    #[default]
    Newest,
    Price,
    #[serde(rename = "-price")]
    PriceDescending,
}

/// Where a page ended, in its own order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum After {
    Name(String, Uuid),
    Newest(Timestamp, Uuid),
    Price(i64, Uuid),
    PriceDescending(i64, Uuid),
}

impl ProductSort {
    pub(crate) fn after(self, last: &Product) -> After {
        match self {
            Self::Name => After::Name(last.name.clone(), last.id),
            Self::Newest => After::Newest(last.created_at, last.id),
            Self::Price => After::Price(last.price.amount, last.id),
            Self::PriceDescending => After::PriceDescending(last.price.amount, last.id),
        }
    }

    const fn order(self) -> &'static str {
        match self {
            Self::Name => " ORDER BY p.name, p.id",
            Self::Newest => " ORDER BY p.created_at DESC, p.id DESC",
            Self::Price => " ORDER BY p.price_amount, p.id",
            Self::PriceDescending => " ORDER BY p.price_amount DESC, p.id DESC",
        }
    }
}

impl After {
    /// The order that the page was in.
    pub(crate) const fn sort(&self) -> ProductSort {
        match self {
            Self::Name(..) => ProductSort::Name,
            Self::Newest(..) => ProductSort::Newest,
            Self::Price(..) => ProductSort::Price,
            Self::PriceDescending(..) => ProductSort::PriceDescending,
        }
    }

    fn narrow(&self, sql: &mut QueryBuilder<Postgres>) {
        let id = match self {
            Self::Name(name, id) => {
                sql.push(" AND (p.name, p.id) > (").push_bind(name.clone());
                id
            }
            Self::Newest(at, id) => {
                sql.push(" AND (p.created_at, p.id) < (").push_bind(at.to_datetime());
                id
            }
            Self::Price(amount, id) => {
                sql.push(" AND (p.price_amount, p.id) > (").push_bind(*amount);
                id
            }
            Self::PriceDescending(amount, id) => {
                sql.push(" AND (p.price_amount, p.id) < (").push_bind(*amount);
                id
            }
        };
        sql.push(", ").push_bind(*id).push(")");
    }
}

impl ProductFilter {
    fn narrow(&self, sql: &mut QueryBuilder<Postgres>) {
        if self.published_only {
            sql.push(" AND p.status = 'published'");
        }
        let texts = [
            (" AND p.department = ", &self.department),
            (" AND p.category = ", &self.category),
            (" AND p.brand = ", &self.brand),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                sql.push(condition).push_bind(text.clone());
            }
        }
        if let Some(amount) = self.min_price {
            sql.push(" AND p.price_amount >= ").push_bind(amount);
        }
        if let Some(amount) = self.max_price {
            sql.push(" AND p.price_amount <= ").push_bind(amount);
        }
        if let Some(in_stock) = self.in_stock {
            sql.push(if in_stock { " AND EXISTS" } else { " AND NOT EXISTS" });
            sql.push(" (SELECT FROM read.stock s WHERE s.sku = p.sku AND s.available > 0)");
        }
    }
}

fn statement(
    filter: &ProductFilter,
    sort: ProductSort,
    after: Option<&After>,
    rows_max: i64,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(COLUMNS);
    filter.narrow(&mut sql);
    if let Some(after) = after {
        after.narrow(&mut sql);
    }
    sql.push(sort.order()).push(" LIMIT ").push_bind(rows_max);
    sql
}

impl ReadModel {
    pub(crate) async fn products(
        &self,
        filter: &ProductFilter,
        sort: ProductSort,
        after: Option<&After>,
        rows_max: i64,
    ) -> Result<Vec<Product>, ReadError> {
        let mut sql = statement(filter, sort, after, rows_max);
        in_time(sql.build_query_as().fetch_all(&self.pool)).await
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(filter: &ProductFilter, sort: ProductSort, after: Option<&After>, expected: &Expect) {
        let sql = statement(filter, sort, after, 51).into_string();
        expected.assert_eq(sql.strip_prefix(COLUMNS).unwrap());
    }

    #[test]
    fn nothing_asked_for_lists_everything_newest_first() {
        check(
            &ProductFilter::default(),
            ProductSort::Newest,
            None,
            &expect![[" ORDER BY p.created_at DESC, p.id DESC LIMIT $1"]],
        );
    }

    #[test]
    fn every_filter_is_one_condition() {
        let filter = ProductFilter {
            published_only: true,
            department: Some("GROCERY".into()),
            category: Some("TEA".into()),
            brand: Some("National".into()),
            min_price: Some(1),
            max_price: Some(2),
            in_stock: Some(true),
        };
        check(
            &filter,
            ProductSort::Price,
            None,
            &expect![[
                " AND p.status = 'published' AND p.department = $1 AND p.category = $2 AND p.brand = $3 AND p.price_amount >= $4 AND p.price_amount <= $5 AND EXISTS (SELECT FROM read.stock s WHERE s.sku = p.sku AND s.available > 0) ORDER BY p.price_amount, p.id LIMIT $6"
            ]],
        );
    }

    #[track_caller]
    fn check_page(after: &After, expected: &Expect) {
        check(&ProductFilter::default(), after.sort(), Some(after), expected);
    }

    #[test]
    fn a_page_goes_on_in_the_direction_of_its_order() {
        let id = Uuid::nil();
        check_page(
            &After::Price(5, id),
            &expect![[
                " AND (p.price_amount, p.id) > ($1, $2) ORDER BY p.price_amount, p.id LIMIT $3"
            ]],
        );
        check_page(
            &After::PriceDescending(5, id),
            &expect![[
                " AND (p.price_amount, p.id) < ($1, $2) ORDER BY p.price_amount DESC, p.id DESC LIMIT $3"
            ]],
        );
        check_page(
            &After::Name("Tea".into(), id),
            &expect![[" AND (p.name, p.id) > ($1, $2) ORDER BY p.name, p.id LIMIT $3"]],
        );
        check_page(
            &After::Newest(Timestamp::default(), id),
            &expect![[
                " AND (p.created_at, p.id) < ($1, $2) ORDER BY p.created_at DESC, p.id DESC LIMIT $3"
            ]],
        );
    }

    #[test]
    fn text_is_bound_and_never_part_of_the_statement() {
        let filter =
            ProductFilter { brand: Some("'; DROP TABLE x".into()), ..ProductFilter::default() };
        check(
            &filter,
            ProductSort::Name,
            None,
            &expect![[" AND p.brand = $1 ORDER BY p.name, p.id LIMIT $2"]],
        );
    }
}
