use arrow_array::{Array, cast::AsArray, types::Int64Type};

use crate::export::delta::Kind;

use super::*;

fn money() -> Kind {
    Kind::Struct(vec![Field::new("amount", Kind::Long), Field::new("currency", Kind::Text)])
}

fn shredded(field: Field, rows: &[&str]) -> Result<ArrayRef, String> {
    let mut columns = Columns::new(&[field]);
    for row in rows {
        columns.push(row.as_bytes()).map_err(|error| error.to_string())?;
    }
    Ok(columns.finish().unwrap().remove(0))
}

#[test]
fn objects_within_lists_within_objects_become_columns() {
    let line = Kind::Struct(vec![Field::new("sku", Kind::Text), Field::new("total", money())]);
    let field = Field::new("lines", Kind::List(Box::new(line)));
    let rows = [
        r#"{"other": [1], "lines": [{"total": {"amount": 5}, "sku": "A"}, {"sku": "B"}]}"#,
        r#"{"lines": []}"#,
        r#"{"lines": null}"#,
        r#"{"lines": [{"sku": "\u00f8", "total": {"currency": "EUR", "amount": -1}}]}"#,
    ];
    let array = shredded(field, &rows).unwrap();
    let lists = array.as_list::<i32>();
    assert_eq!(lists.value_offsets(), [0, 2, 2, 2, 3]);
    assert_eq!((lists.is_null(1), lists.is_null(2)), (false, true));
    let lines = lists.values().as_struct();
    let skus: Vec<_> = lines.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(skus, ["A", "B", "ø"]);
    let totals = lines.column(1).as_struct();
    assert_eq!((totals.is_null(0), totals.is_null(1)), (false, true));
    let amounts = totals.column(0).as_primitive::<Int64Type>();
    assert_eq!((amounts.value(0), amounts.is_null(1), amounts.value(2)), (5, true, -1));
}

#[test]
fn json_stays_as_it_is_written() {
    let rows = [r#"{"a": {"x":  [1.50, "ø"]}}"#, "{}"];
    let array = shredded(Field::new("a", Kind::Json), &rows).unwrap();
    assert_eq!(array.as_string::<i32>().value(0), r#"{"x":  [1.50, "ø"]}"#);
    assert!(array.is_null(1));
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = [
        (Kind::Long, r#"{"a": "5"}"#),
        (Kind::Long, r#"{"a": 1.5}"#),
        (Kind::Long, r#"{"a": 9223372036854775808}"#),
        (Kind::Int, r#"{"a": 2147483648}"#),
        (Kind::Text, r#"{"a": 5}"#),
        (Kind::Time, r#"{"a": "yesterday"}"#),
        (Kind::Date, r#"{"a": "2026-02-30"}"#),
        (Kind::Boolean, r#"{"a": "true"}"#),
        (Kind::List(Box::new(Kind::Long)), r#"{"a": {"b": 1}}"#),
        (money(), r#"{"a": {"amount": 1, "rate": 2}}"#),
        (money(), r#"{"a": {"amount": 1, "amount": 2}}"#),
        (money(), r#"{"a": [1]}"#),
    ];
    for (kind, row) in refused {
        let told = shredded(Field::new("a", kind.clone()), &[row]).expect_err(row);
        assert!(told.starts_with("a: "), "{row}: {told}");
        assert!(shredded(Field::new("a", kind), &["{}"]).is_ok());
    }
}
