use expect_test::expect;

use super::*;

const TABLE: Table = Table {
    name: "stock",
    keys: 1,
    columns: &[
        Column { name: "sku", kind: Kind::Text },
        Column { name: "on_hand", kind: Kind::Long },
        Column { name: "doc", kind: Kind::Json },
    ],
};

#[test]
fn new_rows_and_stored_ones_take_a_statement_each() {
    expect![[r#"INSERT INTO stock_v2.stock (sku, on_hand, doc) SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::jsonb[])"#]]
        .assert_eq(&insert("stock_v2", &TABLE));
    expect![[r#"UPDATE stock_v2.stock AS kept SET on_hand = made.on_hand, doc = made.doc FROM UNNEST($1::text[], $2::bigint[], $3::jsonb[]) AS made (sku, on_hand, doc) WHERE kept.sku = made.sku"#]]
        .assert_eq(&update("stock_v2", &TABLE));
}
