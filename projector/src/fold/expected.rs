//! What the rows of streams should be: its events, one by one, and nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, SecondsFormat, Utc};
use read_models::{Cell, Fold, Slot, Sums, Table};
use serde_json::Value;

use crate::event::CorrectedEvent;

/// A row as JSON, by column.
pub(crate) type Columns = serde_json::Map<String, Value>;

/// A table, with the rows that have been made for it, by primary key.
pub(crate) type Made = (Table, BTreeMap<String, Columns>);

/// What the streams of one part leave.
pub(crate) struct Part {
    /// In the table that has a row per stream.
    pub rows: Option<Made>,
    /// In each table that has a row per event, of which other folds may have some, too.
    pub entries: Vec<Made>,
    /// Streams that stopped at an event which does not fit.
    pub stopped: usize,
}

/// A fold of streams, as a verification runs it.
pub(crate) struct Expected {
    pub fold: &'static Fold,
    rows: HashMap<String, Box<dyn Slot>>,
    stopped: HashSet<String>,
    sums: BTreeMap<i32, Sums>,
    entries: Vec<Made>,
}

impl Expected {
    /// Knows no event yet.
    #[must_use]
    pub(crate) fn of(fold: &'static Fold) -> Self {
        let (rows, stopped, sums) = (HashMap::new(), HashSet::new(), BTreeMap::new());
        let entries = fold.entries.iter().map(|it| (it.table(), BTreeMap::new())).collect();
        Self { fold, rows, stopped, sums, entries }
    }

    /// Takes the next event of a stream. False if it does not fit, now or before.
    pub(crate) fn take(&mut self, corrected: &CorrectedEvent<'_>, shard: i32) -> bool {
        let key = corrected.event.stream.key();
        let fits = !self.stopped.contains(key)
            && (!self.fold.has_rows() || self.evolve(corrected, shard).is_some())
            && self.append(corrected, shard).is_some();
        if !fits {
            self.stopped.insert(key.to_owned());
        }
        fits
    }

    /// What the streams have left that were taken since the last call. They are forgotten: a stream is
    /// taken whole between two calls.
    pub(crate) fn end_part(&mut self) -> Result<Part, sqlx::Error> {
        let slots = std::mem::take(&mut self.rows).into_values();
        let rows = self.fold.table().map(|table| {
            let rows = slots.map(|slot| Ok(to_json(&table, slot.cells()?)));
            let rows = rows.collect::<Result<_, sqlx::Error>>()?;
            Ok::<_, sqlx::Error>((table, rows))
        });
        let rows = rows.transpose()?;
        let taken = |(table, rows): &mut Made| (table.clone(), std::mem::take(rows));
        let entries = self.entries.iter_mut().map(taken).collect();
        let stopped = std::mem::take(&mut self.stopped).len();
        Ok(Part { rows, entries, stopped })
    }

    /// The tables whose rows many streams share, once all streams have been taken.
    pub(crate) fn into_shared(self) -> Vec<Made> {
        let made = |table: &fn() -> Table| {
            let table = table();
            let rows = self.sums.iter().flat_map(|(shard, sums)| sums.rows(&table, *shard));
            let rows = rows.map(|cells| to_json(&table, cells)).collect();
            (table, rows)
        };
        self.fold.sums.iter().map(made).collect()
    }

    /// `None` if its data are no text.
    fn append(&mut self, corrected: &CorrectedEvent<'_>, shard: i32) -> Option<()> {
        if self.entries.is_empty() {
            return Some(());
        }
        let entry = corrected.entry(shard);
        for (to, (table, rows)) in self.fold.entries.iter().zip(&mut self.entries) {
            rows.extend([to_json(table, to.cells(&entry).ok()?)]);
        }
        Some(())
    }

    /// `None` if the event does not fit; then everything is as it was.
    fn evolve(&mut self, corrected: &CorrectedEvent<'_>, shard: i32) -> Option<()> {
        let CorrectedEvent { event, decoded, after_skipped, .. } = *corrected;
        let (key, decoded) = (event.stream.key(), decoded.as_ref().ok()?);
        let stored = self.rows.get(key).map(|slot| slot.copy());
        let mut slot = stored.or_else(|| self.fold.slot(key))?;
        // A rule of its own, for what is to be proven must not prove itself.
        if let Some(row) = slot.revision() {
            let next = row.checked_add(1)?;
            let follows = next == event.revision || (after_skipped && next < event.revision);
            if !follows {
                return None;
            }
        }
        // What an event adds before it turns out not to fit must not count.
        let mut added = Sums::default();
        slot.evolve(decoded, event.revision, event.recorded_at, &mut added).ok()?;
        self.sums.entry(shard).or_default().merge(added).ok()?;
        // Of a row that is taken away nothing is kept: there may be many of them.
        match slot.revision() {
            Some(_) => drop(self.rows.insert(key.to_owned(), slot)),
            None => drop(self.rows.remove(key)),
        }
        Some(())
    }
}

/// A row as a verification compares it, by its primary key.
fn to_json(table: &Table, cells: Vec<Cell<'_>>) -> (String, Columns) {
    let names = table.columns.iter().map(|column| column.name.to_owned());
    let row: Columns = names.zip(cells.into_iter().map(value)).collect();
    (key_of(table, &row), row)
}

/// The primary key of a row, its columns joined by commas.
pub(crate) fn key_of(table: &Table, row: &Columns) -> String {
    let cell = |name| match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let keys: Vec<_> = table.columns.iter().take(table.keys).map(|it| cell(it.name)).collect();
    keys.join(",")
}

/// An instant to the microsecond, as both sides write it here.
#[must_use]
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// As `to_jsonb` shows it, instants aside.
fn value(cell: Cell<'_>) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Uuid(value) => value.to_string().into(),
        Cell::Text(value) => value.into(),
        Cell::Int(value) => value.into(),
        Cell::Long(value) => value.into(),
        // Beyond 64 bits as a double, which is what becomes of the stored number, too.
        Cell::Whole(value) => serde_json::from_str(&value.to_string()).unwrap_or_default(),
        Cell::Time(value) => instant(value).into(),
        Cell::Date(value) => value.to_string().into(),
        Cell::Json(value) => serde_json::from_str(&value).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use read_models::{EntryTable, Get, sales::SALES, stock::STOCK};
    use serde_json::json;

    use super::*;
    use crate::event::RecordedEvent;

    #[test]
    fn a_verification_adds_up_over_all_parts() {
        let mut expected = Expected::of(&SALES.folds[0]);
        let usd = |amount: i64| json!({ "amount": amount, "currency": "USD" });
        let line = |sku: &str, department: &str| {
            json!({
                "sku": sku, "product_id": uuid::Uuid::from_u128(7), "name": sku,
                "department": department, "quantity": 1, "unit_price": usd(5), "total": usd(5),
            })
        };
        let placed = json!({
            "cart_id": uuid::Uuid::from_u128(8), "lines": [line("A", "DAIRY"), line("B", "DELI")],
            "totals": { "subtotal": usd(10), "discount": usd(0), "total": usd(10) },
            "channel": "pos", "placed_at": "2026-01-30T23:30:00Z", "method_token": "cash",
        });
        let confirmed = json!({ "payment_id": uuid::Uuid::from_u128(9), "paid": usd(10) });
        for id in [1, 2] {
            let stream = format!("order/{}", uuid::Uuid::from_u128(id));
            let events = [("placed", &placed), ("confirmed", &confirmed)];
            for (revision, (kind, data)) in (1..).zip(events) {
                let event = RecordedEvent::sample(&stream, revision, kind, data.to_string().leak());
                assert!(expected.take(&event.as_recorded(), 0), "{event:?}");
            }
            let Part { rows, entries, stopped } = expected.end_part().unwrap();
            let (pending, rows) = rows.unwrap();
            assert_eq!((pending.name, rows.len(), stopped), ("pending", 0, 0));
            assert!(entries.is_empty());
        }
        let orders = expected.into_shared().into_iter().map(|(table, rows)| {
            (table.name, rows.values().map(|row| row["orders"].clone()).collect())
        });
        let expected: [(_, Vec<Value>); 2] =
            [("sales", vec![2.into(), 2.into()]), ("sales_totals", vec![2.into()])];
        assert_eq!(orders.collect::<Vec<_>>(), expected);
    }

    const RECEIPTS: &[&EntryTable] = &[&EntryTable {
        name: "receipts",
        keys: 2,
        columns: &[
            ("sku", Get::Text(|entry| entry.stream.key())),
            ("revision", Get::Long(|entry| entry.revision)),
        ],
        is_parted_by_month: false,
    }];

    static STOCK_AND_RECEIPTS: Fold = STOCK.folds[0].appending(RECEIPTS);

    #[test]
    fn events_that_fit_into_their_row_leave_one_of_their_own() {
        let mut expected = Expected::of(&STOCK_AND_RECEIPTS);
        let values = [r#"{"quantity":1}"#, r#"{"quantity":2}"#, r#"{"quantity":"many"}"#];
        let taken = (1..).zip(values).map(|(revision, value)| {
            let event = RecordedEvent::sample("stock/A", revision, "received", value);
            expected.take(&event.as_recorded(), 0)
        });
        assert_eq!(taken.collect::<Vec<_>>(), [true, true, false]);
        let Part { rows, entries, stopped } = expected.end_part().unwrap();
        assert_eq!(rows.unwrap().1["A"]["on_hand"], 3);
        let [(table, receipts)] = &*entries else { panic!("{entries:?}") };
        assert_eq!((table.name, stopped), ("receipts", 1));
        assert_eq!(receipts.keys().collect::<Vec<_>>(), ["A,1", "A,2"]);
    }
}
