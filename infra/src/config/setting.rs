//! What a setting is, before anybody has read it.

/// One setting, as the reference page shows it.
#[derive(Debug)]
pub struct Setting {
    /// `<section>.<key>`
    pub key: &'static str,
    /// What it decides, with its unit.
    pub doc: &'static str,
    /// The values that it takes, as they follow "allowed is".
    pub allowed: &'static str,
    pub default: Option<&'static str>,
}

/// `http.bind` is `TRADEWIND_HTTP__BIND`.
pub(super) fn variable(key: &str) -> String {
    format!("TRADEWIND_{}", key.replacen('.', "__", 1).to_uppercase())
}
