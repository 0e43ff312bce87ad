//! Rows that many streams share: sums, to which events add.
//!
//! The shard is part of their key, so that shards never wait for each other; readers sum over it.
//!
//! **Invariant:** sums are the same in any order of adding, for there is no order between streams.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::{
    cell::{Cell, Column, Get, Kind, Table},
    inapplicable::Inapplicable,
};

/// The name of the column that the shard stands in.
const SHARD: &str = "shard";

/// A table of such rows: what an `S` adds to it.
#[derive(Debug)]
pub struct SumTable<S: 'static> {
    pub name: &'static str,
    /// What is summed by: beside the shard, the primary key.
    pub by: &'static [(&'static str, Get<S>)],
    pub amounts: &'static [(&'static str, Amount<S>)],
}

/// What a column adds up, and the type of the sum.
#[derive(Debug)]
pub enum Amount<S> {
    /// A sum that does not fit makes the event inapplicable.
    Long(fn(&S) -> i64),
    /// Of any size.
    Whole(fn(&S) -> i128),
}

/// What some events add, by table and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<&'static str, Rows>);

/// Amounts by key.
type Rows = BTreeMap<Vec<Cell<'static>>, Vec<Cell<'static>>>;

impl<S> SumTable<S> {
    #[must_use]
    pub fn table(&self) -> Table {
        let by = self.by.iter().map(|(name, get)| Column { name, kind: get.kind() });
        let shard = Column { name: SHARD, kind: Kind::Int };
        let amounts =
            self.amounts.iter().map(|(name, amount)| Column { name, kind: amount.kind() });
        let columns = by.chain([shard]).chain(amounts).collect();
        Table { name: self.name, keys: self.by.len() + 1, columns }
    }
}

impl Sums {
    /// Adds to a row of a table.
    ///
    /// # Errors
    /// If a sum does not fit its column.
    pub fn add<S>(&mut self, table: &SumTable<S>, more: &S) -> Result<(), Inapplicable> {
        let key = table.by.iter().map(|(_, get)| get.cell(more).map(Cell::into_owned));
        let key = key.collect::<Result<_, _>>().map_err(|_error| Inapplicable::MalformedKey)?;
        let amounts = table.amounts.iter().map(|(_, amount)| amount.of(more)).collect();
        add(self.0.entry(table.name).or_default(), key, amounts)
    }

    /// What later events add, on top.
    ///
    /// # Errors
    /// If a sum does not fit its column.
    pub fn merge(&mut self, more: Self) -> Result<(), Inapplicable> {
        for (table, rows) in more.0 {
            let sums = self.0.entry(table).or_default();
            rows.into_iter().try_for_each(|(key, amounts)| add(sums, key, amounts))?;
        }
        Ok(())
    }

    /// The rows that have been added to a table in a shard, in the order of its columns.
    pub fn rows(&self, table: &Table, shard: i32) -> impl Iterator<Item = Vec<Cell<'_>>> {
        self.0.get(table.name).into_iter().flatten().map(move |(key, totals)| {
            key.iter().chain([&Cell::Int(shard)]).chain(totals).cloned().collect()
        })
    }
}

fn add(
    sums: &mut Rows,
    key: Vec<Cell<'static>>,
    amounts: Vec<Cell<'static>>,
) -> Result<(), Inapplicable> {
    match sums.entry(key) {
        Entry::Vacant(vacant) => drop(vacant.insert(amounts)),
        Entry::Occupied(mut sum) => {
            for (total, amount) in sum.get_mut().iter_mut().zip(amounts) {
                *total = plus(total, &amount).ok_or(Inapplicable::QuantityOverflow)?;
            }
        }
    }
    Ok(())
}

impl<S> Amount<S> {
    const fn kind(&self) -> Kind {
        match self {
            Self::Long(_) => Kind::Long,
            Self::Whole(_) => Kind::Whole,
        }
    }

    fn of(&self, more: &S) -> Cell<'static> {
        match self {
            Self::Long(get) => Cell::Long(get(more)),
            Self::Whole(get) => Cell::Whole(get(more)),
        }
    }
}

fn plus(sum: &Cell<'_>, more: &Cell<'_>) -> Option<Cell<'static>> {
    match (sum, more) {
        (Cell::Long(sum), Cell::Long(more)) => sum.checked_add(*more).map(Cell::Long),
        (Cell::Whole(sum), Cell::Whole(more)) => sum.checked_add(*more).map(Cell::Whole),
        // A column has one type, which is that of its `Amount`.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLD: SumTable<(i64, &str)> = SumTable {
        name: "sold",
        by: &[("sku", Get::Text(|(_, sku)| sku))],
        amounts: &[
            ("units", Amount::Long(|(units, _)| *units)),
            ("revenue", Amount::Whole(|(units, _)| i128::from(*units))),
        ],
    };

    #[test]
    fn amounts_add_up_by_key_whoever_adds_first() {
        let (mut sums, mut more) = (Sums::default(), Sums::default());
        sums.add(&SOLD, &(1, "A")).unwrap();
        more.add(&SOLD, &(5, "B")).unwrap();
        more.add(&SOLD, &(2, "A")).unwrap();
        sums.merge(more).unwrap();
        let row = |sku: &'static str, units: i64| {
            let (sku, revenue) = (Cell::Text(sku.into()), Cell::Whole(units.into()));
            vec![sku, Cell::Int(7), Cell::Long(units), revenue]
        };
        let found: Vec<_> = sums.rows(&SOLD.table(), 7).collect();
        assert_eq!(found, [row("A", 3), row("B", 5)]);
    }

    #[test]
    fn a_sum_that_does_not_fit_its_column_is_told() {
        let mut sums = Sums::default();
        sums.add(&SOLD, &(i64::MAX, "A")).unwrap();
        assert_eq!(sums.add(&SOLD, &(1, "A")), Err(Inapplicable::QuantityOverflow));
    }
}
