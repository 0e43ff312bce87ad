//! Tables that are parted by month: each month that rows are of has a table of its own, made by the first
//! batch that needs it.
//!
//! It is made beside the others and then attached, which waits for nobody who reads or writes those.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use rustc_hash::FxHashSet;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// The mark in a version that is being built: a table of one row, which a crash of PostgreSQL wipes out
/// with all other rows that are not logged.
pub(crate) const MARK: &str = "building";

/// Months that are known to have a table, by that of which it is a part.
pub(crate) type Months = FxHashSet<(&'static str, Month)>;

/// By its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Month(NaiveDate);

impl Month {
    pub(super) fn of(at: DateTime<Utc>) -> Self {
        let day = at.date_naive();
        Self(day.with_day(1).unwrap_or(day))
    }

    fn next(self) -> Self {
        Self(self.0.checked_add_months(chrono::Months::new(1)).unwrap_or(NaiveDate::MAX))
    }

    /// As a bound: midnight in UTC.
    fn begin(self) -> String {
        format!("'{} 00:00:00+00'", self.0.format("%Y-%m-%d"))
    }

    fn table(self, whole: &str) -> String {
        format!("{whole}_{}", self.0.format("%Y_%m"))
    }
}

/// Makes the table of a month, unless it is there.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    schema: &str,
    whole: &str,
    month: Month,
) -> Result<(), sqlx::Error> {
    let part = month.table(whole);
    // Others may be at it. It is held until the batch is in, once a month; one lock for all months, for who adds
    // a part keeps others from adding another.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    sqlx::query(lock).bind(format!("{schema}.{whole}")).execute(&mut *connection).await?;
    let (is_there, is_building): (bool, bool) =
        sqlx::query_as("SELECT to_regclass($1) IS NOT NULL, to_regclass($2) IS NOT NULL")
            .bind(format!("{schema}.{part}"))
            .bind(format!("{schema}.{MARK}"))
            .fetch_one(&mut *connection)
            .await?;
    if !is_there {
        connection.execute(AssertSqlSafe(make(schema, whole, month, is_building))).await?;
    }
    Ok(())
}

fn make(schema: &str, whole: &str, month: Month, is_building: bool) -> String {
    let (part, unlogged) = (month.table(whole), if is_building { "UNLOGGED " } else { "" });
    let (from, to) = (month.begin(), month.next().begin());
    format!(
        "CREATE {unlogged}TABLE {schema}.{part} (LIKE {schema}.{whole} INCLUDING ALL EXCLUDING INDEXES);
         ALTER TABLE {schema}.{whole} ATTACH PARTITION {schema}.{part} FOR VALUES FROM ({from}) TO ({to})"
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_month_ends_where_the_next_one_begins() {
        let month = Month::of("2026-12-31T23:59:59.999999Z".parse().unwrap());
        assert_eq!(month.next(), Month::of("2027-01-01T00:00:00Z".parse().unwrap()));
        expect![[r#"
            CREATE UNLOGGED TABLE journal_v2.events_2026_12 (LIKE journal_v2.events INCLUDING ALL EXCLUDING INDEXES);
                     ALTER TABLE journal_v2.events ATTACH PARTITION journal_v2.events_2026_12 FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2027-01-01 00:00:00+00')"#]]
            .assert_eq(&make("journal_v2", "events", month, true));
    }
}
