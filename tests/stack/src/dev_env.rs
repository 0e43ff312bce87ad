//! `.stack/dev.env`: what a client of the stack needs to know, as lines of `KEY=value`.

use std::fmt::Write;

use anyhow::{Result, bail};

use crate::folder::Folder;
use crate::secrets::Secrets;
use crate::state::StackState;

pub const FILE: &str = "dev.env";

/// # Errors
/// When the file cannot be written.
pub fn write(folder: &Folder, state: &StackState, secrets: &Secrets) -> Result<()> {
    let databases = state.databases(secrets);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let ops = &state.ports.ops;
    let numbered = |name: &str, ports: &[u16]| -> Vec<(String, String)> {
        let ports = (1..).zip(ports);
        ports.map(|(number, port)| (format!("{name}_{number}"), url(*port))).collect()
    };
    let nodes = numbered("TRADEWIND_COMMAND_URL", &state.ports.nodes);
    let nodes_ops = numbered("TRADEWIND_COMMAND_OPS_URL", &ops.nodes);
    let first = |ports: &[u16]| url(ports.first().copied().unwrap_or_default());
    let pairs = [
        ("TRADEWIND_COMMAND_URL", first(&state.ports.nodes)),
        ("TRADEWIND_QUERY_URL", url(state.ports.query_api)),
        ("TRADEWIND_PROJECTOR_URL", url(state.ports.projector)),
        ("TRADEWIND_COMMAND_OPS_URL", first(&ops.nodes)),
        ("TRADEWIND_QUERY_OPS_URL", url(ops.query_api)),
        ("TRADEWIND_PROJECTOR_OPS_URL", url(ops.projector)),
        ("TRADEWIND_OPERATOR_KEY", secrets.operator_key.clone()),
        ("TRADEWIND_PAYMENT_WEBHOOK_SECRET", secrets.payment_webhook_secret.clone()),
        ("TRADEWIND_TOPIC", state.topic.clone()),
        ("KAFKA_BOOTSTRAP_SERVERS", state.bootstrap_servers()),
        ("DATABASE_URL", databases.reader),
        ("ANALYST_DATABASE_URL", databases.analyst),
        ("DATABASE_ADMIN_URL", databases.migrator),
    ];
    let mut text = String::new();
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value));
    for (key, value) in pairs.chain(nodes).chain(nodes_ops) {
        writeln!(text, "{key}={value}")?;
    }
    folder.write_private(FILE, &text)
}

/// The lines of the last `up`.
///
/// # Errors
/// When there was none.
pub fn read(folder: &Folder) -> Result<String> {
    match folder.read(FILE)? {
        Some(text) => Ok(text),
        None => bail!("there is no stack in {}: `cargo stack up`", folder.root().display()),
    }
}
