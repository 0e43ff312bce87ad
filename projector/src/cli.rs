//! What `projector` prints on its standard output.
#![expect(clippy::print_stdout, reason = "this is the command line's output")]

mod client;
pub mod dead_letters;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use infra::{config::Effective, postgres};
use sqlx::{Connection, PgConnection};

use crate::{
    settings::Looking,
    status::{Item, Status},
};

/// The settings in force, secrets masked.
pub fn check_config(effective: &Effective) {
    print!("{effective}");
}

/// How far each projection is, as a table or as JSON.
///
/// # Errors
/// If PostgreSQL does not answer.
pub async fn status(settings: &Looking, json: bool) -> anyhow::Result<()> {
    let pool = postgres::pool(&settings.postgres, "tradewind-projector-status")?;
    // One connection and not the pool, which would wait for a server that is away.
    let connected = PgConnection::connect_with(&pool.connect_options()).await;
    let mut connection = connected.context("connecting to PostgreSQL")?;
    let status = Status::read(&mut connection).await.context("reading the checkpoints")?;
    if json {
        println!("{}", serde_json::to_string(&status)?);
    } else {
        println!("{}", table(&status));
    }
    Ok(())
}

fn table(status: &Status) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["projection", "shard", "next offset", "log end", "lag", "seconds", "state"]);
    for item in &status.items {
        let Item { projection, version, shard, next_offset, log_end, .. } = item;
        let state = match &item.reason {
            Some(reason) => format!("{}: {reason}", item.state.as_str()),
            None => item.state.as_str().to_owned(),
        };
        table.add_row([
            format!("{projection} v{version}"),
            shard.to_string(),
            next_offset.to_string(),
            log_end.to_string(),
            item.lag_records.to_string(),
            format!("{:.1}", item.lag_seconds),
            state,
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests;
