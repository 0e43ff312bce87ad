//! The sales report: orders, units and revenue, summed over what is not grouped by.
//!
//! An order has lines of several departments, so counts per department do not add up to orders.
//! Reports without departments therefore read totals in which an order counts once.

use domain::{cart::Channel, timestamp::Day};
use sqlx::{Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{
    ReadError, ReadModel,
    error::{in_time, undecodable},
};

/// A dimension to group by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Department,
    Week,
    Day,
    Month,
    Channel,
}

/// What the report counts. Both days are included.
#[derive(Debug, Default)]
pub(crate) struct SalesFilter {
    pub(crate) from: Option<Day>,
    pub(crate) to: Option<Day>,
    pub(crate) channel: Option<Channel>,
}

/// The figures of one group in one currency.
#[derive(Debug)]
pub(crate) struct SalesRow {
    /// Values of the groups, in the order in which they were asked for.
    pub(crate) groups: Vec<String>,
    pub(crate) currency: String,
    pub(crate) orders: i64,
    pub(crate) units: i64,
    /// A sum of amounts, which may be more than 64 bits hold.
    pub(crate) revenue: i128,
}

impl Group {
    pub(crate) const ALL: [Self; 5] =
        [Self::Department, Self::Week, Self::Day, Self::Month, Self::Channel];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Department => "department",
            Self::Week => "week",
            Self::Day => "day",
            Self::Month => "month",
            Self::Channel => "channel",
        }
    }

    /// How a value is written, where that has a name.
    pub(crate) const fn format(self) -> Option<&'static str> {
        match self {
            Self::Week => Some("ISO 8601."),
            Self::Department | Self::Day | Self::Month | Self::Channel => None,
        }
    }

    pub(crate) const fn example(self) -> &'static str {
        match self {
            Self::Department => "GROCERY",
            Self::Week => "2017-W01",
            Self::Day => "2017-01-05",
            Self::Month => "2017-01",
            Self::Channel => "pos",
        }
    }

    /// Text that sorts by its bytes in the order of what it names.
    const fn column(self) -> &'static str {
        match self {
            Self::Department => "department",
            // ISO 8601: the year is that of the week's Thursday.
            Self::Week => r#"to_char(day, 'IYYY"-W"IW')"#,
            Self::Day => "to_char(day, 'YYYY-MM-DD')",
            Self::Month => "to_char(day, 'YYYY-MM')",
            Self::Channel => "channel",
        }
    }
}

impl SalesFilter {
    fn narrow(&self, sql: &mut QueryBuilder<Postgres>) {
        if let Some(day) = self.from {
            sql.push(" AND day >= ").push_bind(day.to_date());
        }
        if let Some(day) = self.to {
            sql.push(" AND day <= ").push_bind(day.to_date());
        }
        if let Some(channel) = self.channel {
            sql.push(" AND channel = ").push_bind(channel.as_str());
        }
    }
}

fn statement(groups: &[Group], filter: &SalesFilter, rows_max: usize) -> QueryBuilder<Postgres> {
    let view = if groups.contains(&Group::Department) { "sales" } else { "sales_totals" };
    let columns: Vec<_> = groups.iter().map(|group| group.column()).chain(["currency"]).collect();
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(columns.join(", "))
        .push(", ")
        .push(read_models::sales::figures())
        .push(" FROM read.")
        .push(view)
        .push(" WHERE true");
    filter.narrow(&mut sql);
    let places: Vec<_> = (1..=columns.len()).map(|place| place.to_string()).collect();
    let sorted: Vec<_> = columns.iter().map(|column| format!("{column} COLLATE \"C\"")).collect();
    sql.push(" GROUP BY ").push(places.join(", "));
    sql.push(" ORDER BY ").push(sorted.join(", "));
    sql.push(" LIMIT ").push_bind(i64::try_from(rows_max).unwrap_or(i64::MAX));
    sql
}

fn figures(row: &PgRow, groups: usize) -> Result<SalesRow, sqlx::Error> {
    Ok(SalesRow {
        groups: (0..groups).map(|place| row.try_get(place)).collect::<Result<_, _>>()?,
        currency: row.try_get(groups)?,
        orders: row.try_get(groups + 1)?,
        units: row.try_get(groups + 2)?,
        revenue: row.try_get::<String, _>(groups + 3)?.parse().map_err(undecodable)?,
    })
}

impl ReadModel {
    /// Sorted by the groups, then by currency.
    pub(crate) async fn sales(
        &self,
        groups: &[Group],
        filter: &SalesFilter,
        rows_max: usize,
    ) -> Result<Vec<SalesRow>, ReadError> {
        let mut sql = statement(groups, filter, rows_max);
        let rows = in_time(sql.build().fetch_all(&self.pool)).await?;
        rows.iter().map(|row| figures(row, groups.len()).map_err(ReadError::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(groups: &[Group], filter: &SalesFilter, expected: &Expect) {
        expected.assert_eq(&statement(groups, filter, 9).into_string());
    }

    #[test]
    fn without_groups_there_is_a_row_per_currency() {
        check(
            &[],
            &SalesFilter::default(),
            &expect![[
                r#"SELECT currency, sum(orders)::bigint, sum(units)::bigint, sum(revenue)::text FROM read.sales_totals WHERE true GROUP BY 1 ORDER BY currency COLLATE "C" LIMIT $1"#
            ]],
        );
    }

    #[test]
    fn departments_have_counts_of_their_own() {
        check(
            &[Group::Department, Group::Week],
            &SalesFilter::default(),
            &expect![[
                r#"SELECT department, to_char(day, 'IYYY"-W"IW'), currency, sum(orders)::bigint, sum(units)::bigint, sum(revenue)::text FROM read.sales WHERE true GROUP BY 1, 2, 3 ORDER BY department COLLATE "C", to_char(day, 'IYYY"-W"IW') COLLATE "C", currency COLLATE "C" LIMIT $1"#
            ]],
        );
    }

    #[test]
    fn groups_keep_their_order_and_filters_are_bound() {
        let filter = SalesFilter {
            from: "2017-01-01".parse().ok(),
            to: "2017-01-31".parse().ok(),
            channel: Some(Channel::Pos),
        };
        check(
            &[Group::Channel, Group::Month, Group::Day],
            &filter,
            &expect![[
                r#"SELECT channel, to_char(day, 'YYYY-MM'), to_char(day, 'YYYY-MM-DD'), currency, sum(orders)::bigint, sum(units)::bigint, sum(revenue)::text FROM read.sales_totals WHERE true AND day >= $1 AND day <= $2 AND channel = $3 GROUP BY 1, 2, 3, 4 ORDER BY channel COLLATE "C", to_char(day, 'YYYY-MM') COLLATE "C", to_char(day, 'YYYY-MM-DD') COLLATE "C", currency COLLATE "C" LIMIT $4"#
            ]],
        );
    }
}
