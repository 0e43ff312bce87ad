//! Orders, as the documents that the projector made, newest first.

use chrono::{DateTime, Utc};
use domain::timestamp::Timestamp;
use read_models::orders::Order;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{
    ReadError, ReadModel,
    error::{in_time, undecodable},
};

/// What the listed orders have in common.
#[derive(Debug, Default)]
pub(crate) struct OrderFilter {
    pub(crate) status: Option<&'static str>,
    pub(crate) customer_reference: Option<String>,
    pub(crate) placed_after: Option<Timestamp>,
    pub(crate) placed_before: Option<Timestamp>,
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct After(Timestamp, Uuid);

/// An order of a list.
#[derive(Debug)]
pub(crate) struct OrderRow {
    pub(crate) body: Box<RawValue>,
    pub(crate) after: After,
}

impl OrderFilter {
    fn narrow(&self, sql: &mut QueryBuilder<Postgres>) {
        if let Some(status) = self.status {
            sql.push(" AND status = ").push_bind(status);
        }
        if let Some(reference) = &self.customer_reference {
            sql.push(" AND customer_reference = ").push_bind(reference.clone());
        }
        if let Some(at) = self.placed_after {
            sql.push(" AND placed_at > ").push_bind(at.to_datetime());
        }
        if let Some(at) = self.placed_before {
            sql.push(" AND placed_at < ").push_bind(at.to_datetime());
        }
    }
}

fn statement(filter: &OrderFilter, after: Option<After>, rows_max: i64) -> QueryBuilder<Postgres> {
    let mut sql =
        QueryBuilder::new("SELECT id, placed_at, revision, doc FROM read.orders WHERE true");
    filter.narrow(&mut sql);
    if let Some(After(placed_at, id)) = after {
        sql.push(" AND (placed_at, id) < (").push_bind(placed_at.to_datetime());
        sql.push(", ").push_bind(id).push(")");
    }
    sql.push(" ORDER BY placed_at DESC, id DESC LIMIT ").push_bind(rows_max);
    sql
}

#[derive(FromRow)]
struct Listed {
    #[sqlx(flatten)]
    order: Order,
    placed_at: DateTime<Utc>,
}

impl Listed {
    fn shown(self) -> Result<OrderRow, sqlx::Error> {
        let body = self.order.to_json().map_err(undecodable)?;
        let body = RawValue::from_string(body).map_err(undecodable)?;
        Ok(OrderRow { body, after: After(self.placed_at.into(), self.order.head.id) })
    }
}

impl ReadModel {
    /// Newest first.
    pub(crate) async fn orders(
        &self,
        filter: &OrderFilter,
        after: Option<After>,
        rows_max: i64,
    ) -> Result<Vec<OrderRow>, ReadError> {
        let mut sql = statement(filter, after, rows_max);
        let rows: Vec<Listed> = in_time(sql.build_query_as().fetch_all(&self.pool)).await?;
        rows.into_iter().map(|row| row.shown().map_err(ReadError::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(filter: &OrderFilter, after: Option<After>, expected: &Expect) {
        let sql = statement(filter, after, 51).into_string();
        expected.assert_eq(sql.split_once("WHERE true").unwrap().1);
    }

    #[test]
    fn orders_come_newest_first() {
        check(
            &OrderFilter::default(),
            None,
            &expect![[" ORDER BY placed_at DESC, id DESC LIMIT $1"]],
        );
    }

    #[test]
    fn every_filter_is_one_condition() {
        let filter = OrderFilter {
            status: Some("confirmed"),
            customer_reference: Some("household-1".into()),
            placed_after: Some(Timestamp::from_micros(1)),
            placed_before: Some(Timestamp::from_micros(2)),
        };
        check(
            &filter,
            Some(After(Timestamp::default(), Uuid::nil())),
            &expect![[
                " AND status = $1 AND customer_reference = $2 AND placed_at > $3 AND placed_at < $4 AND (placed_at, id) < ($5, $6) ORDER BY placed_at DESC, id DESC LIMIT $7"
            ]],
        );
    }
}
