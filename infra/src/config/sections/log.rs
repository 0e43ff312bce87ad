//! What a service says about itself on standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{Reader, Setting};

const FORMAT: Setting = Setting {
    key: "log.format",
    doc: "Lines for people or one JSON object per line.",
    allowed: "pretty or json",
    default: Some("pretty"),
};
const FILTER: Setting = Setting {
    key: "log.filter",
    doc: "Which lines are written, as directives of tracing's EnvFilter.",
    allowed: "a filter such as info or info,infra::http=debug",
    default: Some("info"),
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Pretty,
    Json,
}

impl Log {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let format = reader.get_with(&FORMAT, |text| match text {
            "pretty" => Some(LogFormat::Pretty),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        let filter = reader
            .get_with(&FILTER, |text| EnvFilter::try_new(text).is_ok().then(|| text.to_owned()));
        Some(Self { format: format?, filter: filter? })
    }
}
