//! What `projector` prints.

mod client;
pub mod dead_letters;
mod jobs;
mod tables;

use std::io::Write;

use anyhow::Context;
use clap::Subcommand;
use futures_util::{FutureExt, future::BoxFuture};
use infra::{operator::Operator, postgres};
use serde::Serialize;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::{
    settings::{ClientSettings, StatusSettings},
    status::Status,
};
pub use jobs::RebuildOptions;

/// What is asked of a projector that runs.
#[derive(Clone, Debug, Subcommand)]
pub enum AdminCommand {
    /// Look at events that a projection could not apply, and have them tried again
    DeadLetters {
        #[command(subcommand)]
        command: dead_letters::Command,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
    },
    /// Build a new version of a projection beside the live one, and show how it goes
    Rebuild {
        name: String,
        #[command(flatten)]
        options: RebuildOptions,
        /// Print a line of JSON a second
        #[arg(long)]
        json: bool,
    },
    /// Hold a build, or a version that stands by, where it is
    Pause(Which),
    /// Let it go on, also after a problem
    Resume(Which),
    /// Show readers the newest version of a projection
    Switch(Which),
    /// Show readers the version again that was live before
    Rollback {
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a version that is not live
    Drop(Which),
    /// Compare a version with an independent fold of the log
    Verify {
        #[command(flatten)]
        which: Which,
        /// Look at about so many keys, taken at random; at all without it
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        sample: Option<i32>,
    },
}

// Which version is meant. Clap would take a doc comment for the help of the commands.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    pub name: String,
    /// The number of the version, where there are several
    #[arg(long, value_name = "N")]
    pub version: Option<i32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Where a command prints.
pub type Out<'o> = &'o mut (dyn Write + Send);

/// How a command ended that worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A verification found differences.
    Different,
}

/// Asks, waits for the end, and shows what came of it. A projector that is away is waited for.
pub fn ask<'a>(
    settings: &'a ClientSettings,
    ask: &'a AdminCommand,
    out: Out<'a>,
) -> BoxFuture<'a, anyhow::Result<Outcome>> {
    async move {
        let operator = Operator::new(settings.client.clone(), client::PROJECTOR)?;
        let (action, which) = match ask {
            AdminCommand::DeadLetters { command, json } => {
                dead_letters::run(&operator, command, *json, out).await?;
                return Ok(Outcome::Done);
            }
            AdminCommand::Rebuild { name, options, json } => {
                return jobs::rebuild(&operator, name, *options, *json, out).await;
            }
            AdminCommand::Verify { which, sample } => {
                return jobs::verify(&operator, which, *sample, out).await;
            }
            AdminCommand::Pause(which) => ("pause", which),
            AdminCommand::Resume(which) => ("resume", which),
            AdminCommand::Switch(which) => ("switch", which),
            AdminCommand::Rollback { name, json } => {
                ("rollback", &Which { name: name.clone(), version: None, json: *json })
            }
            AdminCommand::Drop(which) => ("drop", which),
        };
        let body = json!({ "version": which.version });
        let version = client::act(&operator, &which.name, action, &body).await?;
        show(out, which.json, &version, tables::version)?;
        Ok(Outcome::Done)
    }
    .boxed()
}

/// How far each projection is, as tables or as JSON.
pub fn status<'a>(
    settings: &'a StatusSettings,
    json: bool,
    out: Out<'a>,
) -> BoxFuture<'a, anyhow::Result<()>> {
    async move {
        let pool = postgres::pool(&settings.postgres, "tradewind-projector-status")?;
        // A connection of its own first: the pool would wait for a server that is away.
        let connected = PgConnection::connect_with(&pool.connect_options()).await;
        connected.context("connecting to PostgreSQL")?.close().await.ok();
        let status = Status::read(&pool).await.context("reading the checkpoints")?;
        show(out, json, &status, |it| format!("{}\n{}", tables::overview(it), tables::status(it)))
    }
    .boxed()
}

/// Prints an answer, for a machine or for a person.
fn show<A: Serialize>(
    out: Out<'_>,
    json: bool,
    answer: &A,
    text: impl FnOnce(&A) -> String,
) -> anyhow::Result<()> {
    let shown = if json { serde_json::to_string(answer)? } else { text(answer) };
    Ok(writeln!(out, "{shown}")?)
}
