//! What a service says about itself on standard error.

use tracing_subscriber::EnvFilter;

use super::Reader;

crate::settings! {
    /// Lines for people or one JSON object per line.
    FORMAT = "log.format", "pretty or json", Some("pretty");
    /// Which lines are written, as directives of tracing's EnvFilter.
    FILTER = "log.filter", "a filter such as info or info,infra::http=debug", Some("info");
}

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
        let is_filter = |text: &&str| EnvFilter::try_new(text).is_ok();
        crate::read_all! {
            format: reader.get_with(&FORMAT, |text| match text {
                "pretty" => Some(LogFormat::Pretty),
                "json" => Some(LogFormat::Json),
                _ => None,
            }),
            filter: reader.get_with(&FILTER, |text| {
                Some(text).filter(is_filter).map(str::to_owned)
            }),
        }
    }
}
