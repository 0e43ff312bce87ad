use expect_test::expect;

use super::*;

fn table() -> Table {
    let columns = [
        Column { name: "sku", kind: Kind::Text },
        Column { name: "on_hand", kind: Kind::Long },
        Column { name: "doc", kind: Kind::Json },
    ];
    Table { name: "stock", keys: 1, columns: columns.into() }
}

#[test]
fn new_rows_and_stored_ones_take_a_statement_each() {
    expect![[r#"INSERT INTO stock_v2.stock (sku, on_hand, doc) SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::jsonb[])"#]]
        .assert_eq(&insert("stock_v2", &table()));
    expect![[r#"UPDATE stock_v2.stock AS kept SET on_hand = made.on_hand, doc = made.doc FROM UNNEST($1::text[], $2::bigint[], $3::jsonb[]) AS made (sku, on_hand, doc) WHERE kept.sku = made.sku"#]]
        .assert_eq(&update("stock_v2", &table()));
}

#[test]
fn sums_are_added_to_those_of_their_key() {
    let table = (read_models::sales::SALES.folds[0].sums[1])();
    expect![[r#"INSERT INTO sales_v2.sales_totals AS kept (day, channel, currency, shard, orders, units, revenue) SELECT * FROM UNNEST($1::date[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::numeric[]) ON CONFLICT (day, channel, currency, shard) DO UPDATE SET orders = kept.orders + excluded.orders, units = kept.units + excluded.units, revenue = kept.revenue + excluded.revenue"#]]
        .assert_eq(&add("sales_v2", &table));
}

#[test]
fn a_cell_of_another_type_is_an_error_and_no_null() {
    let column = Column { name: "on_hand", kind: Kind::Long };
    let bind = |cell: &Cell<'_>| bind(sqlx::query("SELECT $1"), column, [cell].into_iter()).is_ok();
    assert!(bind(&Cell::Long(1)));
    assert!(bind(&Cell::Null));
    assert!(!bind(&Cell::Int(1)));
}
