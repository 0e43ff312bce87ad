//! Views for analysts, as data: flat, each column described, money in whole units of its currency, and
//! pseudonyms where a text tells of a person.
//!
//! **Invariant:** whether a column is personal is said where it is declared; nobody writes SQL that hashes,
//! or that moves a decimal point.

use domain::money::Currency;

/// A view in schema `analytics`.
#[derive(Clone, Copy, Debug)]
pub struct Flat {
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    pub columns: &'static [FlatColumn],
    /// Where the rows come from: what follows `FROM`.
    pub from: &'static str,
}

/// A name, what it shows and what that is.
pub type FlatColumn = (&'static str, Shows, &'static str);

/// What a column shows: expressions over the rows.
#[derive(Clone, Copy, Debug)]
pub enum Shows {
    /// What tells of nobody, as it is.
    Plain(&'static str),
    /// An amount in minor units, and its currency.
    Money(&'static str, &'static str),
    /// A text that tells of a person.
    Personal(&'static str),
}

/// Where the key of pseudonyms is, as the two blocks of an HMAC.
const KEY: &str = "LEFT JOIN projection.pseudonym_key ON true";
/// Characters of a pseudonym behind its `~`: 16 bytes of the hash.
const SHOWN_BYTES: usize = 16;

impl Flat {
    /// The query of the view, over the tables in this schema.
    #[must_use]
    pub fn query(&self, schema: &str) -> String {
        let columns =
            self.columns.iter().map(|(name, shows, _)| format!("{} AS {name}", shows.sql()));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let is_personal = |(_, shows, _): &FlatColumn| matches!(shows, Shows::Personal(_));
        let key = if self.columns.iter().any(is_personal) { KEY } else { "" };
        format!("SELECT {columns} FROM {} {key}", self.from).replace("{schema}", schema)
    }
}

impl Shows {
    fn sql(self) -> String {
        match self {
            Self::Plain(expression) => expression.to_owned(),
            // A product of decimals has the places of both, so the sums are exact.
            Self::Money(amount, currency) => format!(
                "({amount})::numeric * CASE WHEN {currency} IN ({}) THEN 1 \
                 WHEN {currency} IN ({}) THEN 0.001 ELSE 0.01 END",
                with_places(0),
                with_places(3)
            ),
            // As replays make them of `infra::pseudonym`: a function would have to be everybody's, who
            // could then look up the pseudonym of any text. Without a key it is null.
            Self::Personal(text) => format!(
                "'~' || translate(rtrim(encode(substring(sha256(outer_block || sha256(inner_block || \
                 convert_to({text}, 'UTF8'))) FOR {SHOWN_BYTES}), 'base64'), '='), '+/', '-_')"
            ),
        }
    }
}

/// The currencies whose minor unit has so many decimal places, in quotes.
fn with_places(places: u32) -> String {
    let codes = Currency::codes().filter(|code| {
        code.parse().is_ok_and(|currency: Currency| currency.decimal_places() == places)
    });
    codes.map(|code| format!("'{code}'")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ALL;

    #[test]
    fn views_and_columns_have_one_name_and_are_described() {
        let mut names = BTreeSet::new();
        for flat in ALL.iter().flat_map(|projection| projection.analytics) {
            assert!(names.insert(flat.name), "{} twice", flat.name);
            assert!(flat.about.ends_with('.'), "{}", flat.name);
            let mut columns = BTreeSet::new();
            for (column, _, about) in flat.columns {
                assert!(columns.insert(column), "{}.{column} twice", flat.name);
                assert!(about.ends_with('.'), "{}.{column}", flat.name);
            }
        }
        assert!(names.len() >= 4);
    }

    /// Whoever adds a column of money says of which currency, beside it.
    #[test]
    fn where_there_is_money_there_is_its_currency() {
        for flat in ALL.iter().flat_map(|projection| projection.analytics) {
            let has_money = flat.columns.iter().any(|(_, it, _)| matches!(it, Shows::Money(..)));
            let has_currency = flat.columns.iter().any(|(name, ..)| *name == "currency");
            assert_eq!(has_money, has_currency, "{}", flat.name);
        }
    }

    #[test]
    fn a_query_names_the_schema_and_joins_the_key_only_for_what_is_personal() {
        let columns: &[FlatColumn] = &[("id", Shows::Plain("id"), "It.")];
        let plain = Flat { name: "x", about: "X.", columns, from: "{schema}.x" };
        assert_eq!(plain.query("x_v2").trim(), "SELECT id AS id FROM x_v2.x");
        let columns: &[FlatColumn] = &[("who", Shows::Personal("name"), "Who.")];
        let query = Flat { columns, ..plain }.query("x_v2");
        assert!(query.ends_with(KEY) && query.contains("convert_to(name, 'UTF8')"), "{query}");
    }

    #[test]
    fn minor_units_have_the_places_that_iso_4217_says() {
        let places = |code: &str| code.parse::<Currency>().unwrap().decimal_places();
        assert_eq!(["EUR", "JPY", "KWD"].map(places), [2, 0, 3]);
        assert!(with_places(3).contains("'BHD'") && !with_places(0).contains("'USD'"));
    }
}
