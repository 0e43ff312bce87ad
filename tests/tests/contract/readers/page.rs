//! `docs/log.md` names what is written, and shows code that runs.

use infra::log::memory::RawRecord;
use serde_json::{Map, Value};

use super::history;
use crate::examples::read;

const PAGE: &str = "docs/log.md";

/// The attributes of the table's first column.
fn named(page: &str) -> Vec<&str> {
    let (_, table) = page.split_once("| attribute |").expect("a table");
    let rows = table.lines().skip(2).map_while(|row| row.strip_prefix("| "));
    let cells = rows.map(|row| row.split(" |").next().unwrap_or_default());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_page_names_the_attributes_in_their_order() {
    let raw = RawRecord::of(&history::with_all_attributes()).expect("a record");
    let value = String::from_utf8(raw.value.expect("a value").to_vec()).expect("a text");
    let members: Map<String, Value> = serde_json::from_str(&value).expect("an envelope");
    let mut written: Vec<_> = members.keys().collect();
    // Whatever the data are, they come last.
    written.sort_by_key(|name| value.find(&format!("\"{name}\":")));
    assert_eq!(named(&read(PAGE)), written);
}

#[test]
fn the_page_shows_code_of_the_readers() {
    let readers =
        ["read_log.py", "cloud_events.py"].map(|name| read(&format!("tests/readers/{name}")));
    let page = read(PAGE);
    let blocks: Vec<_> = page.split("```python\n").skip(1).collect();
    assert!(!blocks.is_empty(), "the page shows no Python");
    for block in blocks {
        let (block, _) = block.split_once("```").expect("an end");
        assert!(readers.iter().any(|text| text.contains(block)), "in no reader:\n{block}");
    }
}
