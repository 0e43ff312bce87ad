//! The reference page of settings, made from their declarations.

use std::{collections::BTreeSet, fmt::Write};

use super::{Layers, Reader, Settings, setting::variable};

/// A Markdown table of all settings of `S`, each once.
#[must_use]
pub fn reference<S: Settings>() -> String {
    let layers = Layers::default();
    let mut reader = Reader::new(&layers);
    // Without a source there is nothing to read; what is asked for is what counts.
    S::read(&mut reader);
    let mut page = String::from("| variable | in a file | default | allowed | what it decides |\n");
    page.push_str("|---|---|---|---|---|\n");
    let mut told = BTreeSet::new();
    for (setting, is_secret) in reader.asked() {
        if !told.insert(setting.key) {
            continue;
        }
        let file = if *is_secret { ", or its file in `…_FILE`" } else { "" };
        let default = setting.default.map_or("none".to_owned(), |text| format!("`{text}`"));
        // Writing to a String cannot fail.
        writeln!(
            page,
            "| `{}`{file} | `{}` | {default} | {} | {} |",
            variable(setting.key),
            setting.key,
            setting.allowed,
            setting.doc,
        )
        .ok();
    }
    page
}
