//! What `projector` prints on its standard output.
#![expect(clippy::print_stdout, reason = "this is the command line's output")]

mod client;
pub mod dead_letters;
mod jobs;
mod progress;
mod tables;

use anyhow::Context;
use futures_util::{FutureExt, future::BoxFuture};
use infra::{config::Effective, postgres};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{
    settings::{Asking, Looking},
    status::Status,
};
use client::Client;
pub use jobs::RebuildOptions;

/// What is asked of a projector that runs.
#[derive(Clone, Debug)]
pub enum Ask {
    Rebuild {
        name: String,
        options: RebuildOptions,
        json: bool,
    },
    Verify {
        name: String,
        version: Option<i32>,
        sample: Option<i32>,
        json: bool,
    },
    /// What is done at once: `pause`, `resume`, `switch`, `rollback`, `drop`.
    Act {
        name: String,
        action: &'static str,
        version: Option<i32>,
        json: bool,
    },
}

/// How a command ended that worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A verification found differences.
    Different,
}

/// The settings in force, secrets masked.
pub fn check_config(effective: &Effective) {
    print!("{effective}");
}

/// Asks, waits for the end, and shows what came of it.
///
/// # Errors
/// If the projector refuses, or does not answer for a long time.
pub fn ask<'a>(settings: &'a Asking, ask: &'a Ask) -> BoxFuture<'a, anyhow::Result<Outcome>> {
    async move {
        let client = Client::new(settings.client.clone())?;
        match ask {
            Ask::Rebuild { name, options, json } => {
                jobs::rebuild(&client, name, *options, *json).await
            }
            Ask::Verify { name, version, sample, json } => {
                jobs::verify(&client, name, *version, *sample, *json).await
            }
            Ask::Act { name, action, version, json } => {
                let body =
                    version.map_or_else(|| json!({}), |version| json!({ "version": version }));
                act(&client, name, action, &body, *json).await
            }
        }
    }
    .boxed()
}

async fn act(
    client: &Client,
    name: &str,
    action: &str,
    body: &Value,
    json: bool,
) -> anyhow::Result<Outcome> {
    let version = client.act(name, action, body).await?;
    if json {
        line(&serde_json::to_string(&version)?);
    } else {
        line(&tables::versions([&version]));
    }
    Ok(Outcome::Done)
}

/// How far each projection is, as tables or as JSON.
///
/// # Errors
/// If PostgreSQL does not answer.
pub fn status(settings: &Looking, json: bool) -> BoxFuture<'_, anyhow::Result<()>> {
    async move {
        let pool = postgres::pool(&settings.postgres, "tradewind-projector-status")?;
        // A connection of its own first: the pool would wait for a server that is away.
        let connected = PgConnection::connect_with(&pool.connect_options()).await;
        connected.context("connecting to PostgreSQL")?.close().await.ok();
        let status = Status::read(&pool).await.context("reading the checkpoints")?;
        if json {
            line(&serde_json::to_string(&status)?);
        } else {
            line(&tables::overview(&status));
            line(&tables::status(&status));
        }
        Ok(())
    }
    .boxed()
}

fn line(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests;
