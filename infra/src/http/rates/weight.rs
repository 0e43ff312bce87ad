//! What a request weighs.

use axum::http::{Method, Uri};

/// What requests to a route weigh that cost more than others. The services know which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// As the contract has it.
    pub route: &'static str,
    /// Only with this parameter.
    pub parameter: Option<&'static str>,
    pub weight: u32,
}

const READ: u32 = 1;
const WRITE: u32 = 2;

impl Weight {
    #[must_use]
    pub const fn of(route: &'static str, weight: u32) -> Self {
        Self { route, parameter: None, weight }
    }

    #[must_use]
    pub const fn with(route: &'static str, parameter: &'static str, weight: u32) -> Self {
        Self { route, parameter: Some(parameter), weight }
    }

    /// By the first entry that fits, else by the method.
    pub(in crate::http) fn find(table: &[Self], route: &str, method: &Method, uri: &Uri) -> u32 {
        let query = uri.query().unwrap_or_default();
        let has = |name: &str| {
            let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
            names.any(|other| other == name)
        };
        let fits = |it: &&Self| it.route == route && it.parameter.is_none_or(has);
        table
            .iter()
            .find(fits)
            .map_or_else(|| if method.is_safe() { READ } else { WRITE }, |entry| entry.weight)
    }
}
