//! `command-api steps …`: what processes could not do, and what becomes of it.
#![expect(clippy::print_stdout, reason = "this is the command line's output")]

use anyhow::Result;
use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use futures_util::{FutureExt, future::BoxFuture};
use infra::{
    config::{self, Reader},
    operator::{Operator, Service},
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const PATH: &str = "/v1/admin/parked-steps";
const PAGE_MAX: u8 = 200;
const COMMAND_API: Service =
    Service { name: "the command API", tells: "command-api steps show", for_good: &[] };

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// List the steps that wait, oldest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one
    Show {
        id: Uuid,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try one again
    Retry {
        id: Uuid,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take one for refused, so that its process goes on from there
    Skip {
        id: Uuid,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

const EXAMPLES: &str = "\
Examples:
  command-api steps list
  command-api steps show 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11
  command-api steps retry 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11
  command-api steps skip 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 --reason 'the stock was sold elsewhere'

They take TRADEWIND_COMMAND_URL and TRADEWIND_OPERATOR_KEY, and find a local stack in its folder by
themselves. Who did what, and why, stays in the log.";

/// What the commands need.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    client: config::Client,
}

impl config::Settings for ClientSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { client: config::Client::of_command_api(reader)? })
    }
}

/// # Errors
/// What the command API says, or that it does not answer.
pub fn run(settings: ClientSettings, command: Command) -> BoxFuture<'static, Result<()>> {
    async move {
        let operator = Operator::new(settings.client, COMMAND_API)?;
        let act = |id: Uuid, act: &str| format!("{PATH}/{id}/{act}");
        match command {
            Command::List { json } => show(&json!({ "items": all(&operator).await? }), json),
            Command::Show { id, json } => {
                show(&operator.ask(Method::GET, &format!("{PATH}/{id}"), None).await?, json)
            }
            Command::Retry { id, json } => {
                let answer =
                    operator.ask(Method::POST, &act(id, "retry"), Some(&json!({}))).await?;
                told(&answer, json, "is being tried again")
            }
            Command::Skip { id, reason, json } => {
                let body = json!({ "reason": reason });
                let answer = operator.ask(Method::POST, &act(id, "skip"), Some(&body)).await?;
                told(&answer, json, "counts as refused; its process goes on")
            }
        }
    }
    .boxed()
}

/// Of all pages.
async fn all(operator: &Operator) -> Result<Vec<Value>> {
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("{PATH}?limit={PAGE_MAX}{after}");
        let page: Value = operator.ask(Method::GET, &path, None).await?;
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(items),
        }
    }
}

fn told(answer: &Value, json: bool, what: &str) -> Result<()> {
    if json { show(answer, true) } else { line(&format!("the step {what}")) }
}

fn show(answer: &Value, json: bool) -> Result<()> {
    match answer["items"].as_array() {
        _ if json => line(&serde_json::to_string(answer)?),
        Some(items) if items.is_empty() => line("no step waits"),
        Some(items) => line(&table(items)),
        None => line(&serde_json::to_string_pretty(answer)?),
    }
}

/// Columns, and where a step has what stands in them.
const COLUMNS: [(&str, &str); 7] = [
    ("id", "/id"),
    ("state", "/state"),
    ("process", "/process"),
    ("step", "/step"),
    ("event", "/event/stream"),
    ("error", "/error/detail"),
    ("parked at", "/parked_at"),
];

fn table(items: &[Value]) -> String {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(COLUMNS.map(|(name, _)| name));
    for item in items {
        let text = |pointer| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        table.add_row(COLUMNS.map(|(_, pointer)| text(pointer)));
    }
    table.to_string()
}

fn line(text: &str) -> Result<()> {
    println!("{text}");
    Ok(())
}
