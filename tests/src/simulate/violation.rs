//! A promise that was broken.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Which check found it.
    pub(super) check: &'static str,
    pub(super) detail: String,
    /// Words by which the lines of the history are found that matter.
    pub(super) about: Vec<String>,
}

impl Violation {
    pub(super) fn new(check: &'static str, detail: String) -> Self {
        Self { check, detail, about: vec![] }
    }

    pub(super) fn about(mut self, word: impl Into<String>) -> Self {
        self.about.push(word.into());
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.detail)
    }
}
