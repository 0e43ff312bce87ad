//! The page of all settings, made from where they are declared.

use expect_test::expect_file;
use infra::config::{Client, Reader, Settings, reference};

/// What some service or tool reads.
struct All;

impl Settings for All {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        command_api::Settings::read(reader);
        query_api::Settings::read(reader);
        projector::Settings::read(reader);
        Client::of_projector(reader);
        Client::of_command_api(reader);
        Some(Self)
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
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
        reference::<All>()
    );
    expect_file!["../../../docs/configuration.md"].assert_eq(&page);
}
