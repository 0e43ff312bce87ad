//! The pages of all metrics and of all settings, made from where they are declared.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use infra::config::{Client, Reader, Settings, Sql, reference};
use stack::folder::workspace;

use crate::examples::files;

const ROOMS: [(&str, &str); 4] = [
    ("infra", "Every service"),
    ("command-api", "The command API"),
    ("projector", "The projector"),
    ("query-api", "The query API"),
];
const KINDS: [&str; 3] = ["Counter", "Gauge", "Histogram"];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Metric {
    name: String,
    kind: &'static str,
    help: String,
}

/// All that are declared below a folder, sorted by name.
fn declared(folder: &Path) -> Vec<Metric> {
    let mut found = Vec::new();
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    for path in files(folder).into_iter().filter(is_source) {
        let text = fs::read_to_string(&path).expect("a source");
        // Examples are comments, and tests have metrics of their own.
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        found.extend(declared_in(&code.collect::<Vec<_>>().join("\n")));
    }
    found.retain(|metric| !metric.name.starts_with("tradewind_test_"));
    found.sort();
    found
}

fn declared_in(code: &str) -> Vec<Metric> {
    let mut found = Vec::new();
    for kind in KINDS {
        for text in code.split(&format!("{kind}::new(")).skip(1) {
            let Some(text) = text.trim_start().strip_prefix('"') else { continue };
            let mut quoted = text.split('"').step_by(2).map(str::to_owned);
            if let (Some(name), Some(help)) = (quoted.next(), quoted.next()) {
                found.push(Metric { name, kind, help });
            }
        }
    }
    found
}

#[test]
fn the_page_of_metrics_is_complete() {
    let mut page = String::from(
        "# Metrics\n\n\
         Every service shows its metrics in Prometheus' text form at `/metrics` of its listener for \
         operations (`ops.bind`). A series appears with its first observation. Labels come from \
         closed sets: `shard`, `reason`, `result`, `question`, `read`, `process`, `projection`, \
         `version`, `state`, `table`, `route`, `method`, `status`, `code`, `policy`, `provider`, \
         `operation`, `outcome`. Histograms of seconds have buckets from half a millisecond to \
         half a minute.\n\n\
         What to look at first: `tradewind_engine_serving` (each shard is 1 on one node), \
         `tradewind_engine_ack_seconds` and `tradewind_http_request_seconds` (how fast), \
         `tradewind_http_shed_total`, `tradewind_http_throttled_total`, \
         `tradewind_command_crowded_total` and `tradewind_http_failures_total` (what was refused), \
         `tradewind_engine_epochs_ended_total` (`deposed`: another node took the shard; all other \
         reasons: the writer froze on a doubt), `rate(tradewind_engine_records_read_total)` (how \
         fast a replay goes), `tradewind_store_writable` (0: the disk refuses), \
         `tradewind_projector_lag_records`.\n",
    );
    for (room, title) in ROOMS {
        let metrics = declared(&workspace().join(room).join("src"));
        assert!(!metrics.is_empty(), "{room} has metrics");
        write!(page, "\n## {title}\n\n| metric | kind | meaning |\n|---|---|---|\n").expect("text");
        for Metric { name, kind, help } in metrics {
            writeln!(page, "| `{name}` | {} | {help} |", kind.to_lowercase()).expect("text");
        }
    }
    expect_file!["../../../docs/metrics.md"].assert_eq(&page);
}

/// What some service or tool reads.
struct AllSettings;

impl Settings for AllSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        command_api::Settings::read(reader);
        query_api::Settings::read(reader);
        projector::Settings::read(reader);
        Client::of_projector(reader);
        Client::of_command_api(reader);
        Client::of_query_api(reader);
        Sql::read(reader);
        Some(Self)
    }
}

#[test]
fn the_page_of_settings_is_complete() {
    let page = format!(
        "# Settings\n\n\
         Every service reads its settings at the start, from the weakest source to the strongest: \
         the defaults below, a local stack's `.stack/dev.env` (command-line tools only), a TOML \
         file given by `--config FILE`, and environment variables. A key `section.key` of the \
         file is `TRADEWIND_SECTION__KEY` in the environment. All mistakes are told at once, with \
         exit code 2; `--check-config` prints the effective settings with secrets masked.\n\n\
         The defaults of `http.bind` and `ops.bind` are those of `command-api`; `query-api` takes \
         the ports 8081 and 8091, the `projector` 8082 and 8092. A service reads only the sections that it needs; \
         `--check-config` shows them.\n\n{}",
        reference::<AllSettings>()
    );
    expect_file!["../../../docs/configuration.md"].assert_eq(&page);
}
