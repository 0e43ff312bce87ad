//! `projector dead-letters …`: what waits, and having it tried again.

use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use comfy_table::{ContentArrangement, Table};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Out, Outcome, client::Client, tables};
use crate::store::letters::{DeadLetter, DeadLetterState, Detail};

const PATH: &str = "/v1/admin/dead-letters";

#[derive(Clone, Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// List events that did not apply, newest first
    List {
        /// Only those in this state: parked, retried, edited or skipped
        #[arg(long, value_name = "STATE")]
        state: Option<DeadLetterState>,
        /// Only those of this projection
        #[arg(long, value_name = "NAME")]
        projection: Option<String>,
        /// How many at most (1 to 200)
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=200))]
        limit: u8,
        /// Go on where the last list ended: its `next`
        #[arg(long)]
        cursor: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one, with what waits behind it and what was done about it
    Show {
        id: Uuid,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Apply the events of its key again, in order
    Retry {
        id: Uuid,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the projection read other data for the event, and apply the events of its key
    Edit {
        id: Uuid,
        /// A file with the event's new data, as JSON
        #[arg(long, value_name = "FILE")]
        data: PathBuf,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the projection pass over the event, and apply those behind it
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
  projector dead-letters list --state parked
  projector dead-letters show 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11
  projector dead-letters retry 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11
  projector dead-letters edit 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 --data placed.json \\
    --reason 'the total was written as text; ticket 4711'
  projector dead-letters skip 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 --reason 'a test order'

`show` prints the event's data; `edit` takes the same, corrected. The log keeps the event as it was;
an edit or a skip holds for this projection, in rebuilds, too.";

/// What `retry`, `edit` and `skip` answer.
#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    detail: Detail,
    settled_events: u64,
    next: Option<Uuid>,
}

#[derive(Deserialize)]
struct Listing {
    items: Vec<DeadLetter>,
    next: Option<String>,
}

pub(super) async fn run(
    client: &Client,
    command: &Command,
    out: Out<'_>,
) -> anyhow::Result<Outcome> {
    let shown = match command {
        Command::List { state, projection, limit, cursor, json } => {
            let query = [
                state.map(|state| ("state", state.as_str().to_owned())),
                projection.clone().map(|projection| ("projection", projection)),
                Some(("limit", limit.to_string())),
                cursor.clone().map(|cursor| ("cursor", cursor)),
            ];
            let url = Url::parse_with_params(
                "http://projector/v1/admin/dead-letters",
                query.into_iter().flatten(),
            )?;
            let path = format!("{PATH}?{}", url.query().unwrap_or_default());
            show(out, client.ask(Method::GET, &path, None).await?, *json, list)
        }
        Command::Show { id, json } => {
            show(out, client.ask(Method::GET, &format!("{PATH}/{id}"), None).await?, *json, detail)
        }
        Command::Retry { id, reason, json } => {
            settle(client, *id, "retry", &json!({ "reason": reason }), *json, out).await
        }
        Command::Edit { id, data, reason, json } => {
            let body = json!({ "data": read(data)?, "reason": reason });
            settle(client, *id, "edit", &body, *json, out).await
        }
        Command::Skip { id, reason, json } => {
            settle(client, *id, "skip", &json!({ "reason": reason }), *json, out).await
        }
    };
    shown.map(|()| Outcome::Done)
}

async fn settle(
    client: &Client,
    id: Uuid,
    act: &str,
    body: &Value,
    json: bool,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let path = format!("{PATH}/{id}/{act}");
    show(out, client.ask(Method::POST, &path, Some(body)).await?, json, answer)
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let shown = file.display();
    let text = std::fs::read(file).with_context(|| format!("reading {shown}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{shown} is not JSON"))
}

/// Prints an answer as it came, or for a person.
fn show<A: for<'de> Deserialize<'de>>(
    out: Out<'_>,
    answer: Value,
    json: bool,
    text: impl FnOnce(A) -> String,
) -> anyhow::Result<()> {
    let shown = if json {
        answer.to_string()
    } else {
        text(serde_json::from_value(answer).context("reading the projector's answer")?)
    };
    Ok(writeln!(out, "{shown}")?)
}

fn list(Listing { items, next }: Listing) -> String {
    if items.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut table = table(["id", "projection", "key", "behind", "state", "parked at", "error"]);
    for DeadLetter { id, projection, version, key, state, error, parked_at, behind, .. } in items {
        table.add_row([
            id.to_string(),
            format!("{projection} v{version}"),
            key,
            behind.to_string(),
            state.as_str().to_owned(),
            shown(parked_at),
            error,
        ]);
    }
    tables::align_right(&mut table, 3..4);
    match next {
        Some(next) => format!("{table}\nmore: --cursor {next}"),
        None => table.to_string(),
    }
}

fn detail(Detail { letter, correction, waiting, audit }: Detail) -> String {
    let DeadLetter { id, projection, version, shard, key, state, event, error, .. } = letter;
    let state = state.as_str();
    let mut text = format!(
        "{id}: {state} since {}\n{projection} v{version}, shard {shard}, key {key}\n{}\n\n\
         event {} ({}), revision {}, recorded at {}\n{}\n",
        shown(letter.settled_at.unwrap_or(letter.parked_at)),
        error,
        event.id,
        event.kind,
        event.revision,
        shown(event.recorded_at),
        pretty(&event.data.unwrap_or_default()),
    );
    if let Some(correction) = correction {
        text += &format!("\nread instead of it:\n{}\n", pretty(&correction));
    }
    if !waiting.is_empty() {
        let mut table = table(["waiting", "type", "revision", "recorded at"]);
        for event in waiting {
            let (id, revision) = (event.id.to_string(), event.revision.to_string());
            table.add_row([id, event.kind, revision, shown(event.recorded_at)]);
        }
        text += &format!("\n{table}\n");
    }
    if !audit.is_empty() {
        let mut table = table(["at", "who", "what", "why", "outcome"]);
        for entry in audit {
            table.add_row([
                shown(entry.at),
                entry.actor,
                entry.action,
                entry.reason.unwrap_or_default(),
                entry.outcome,
            ]);
        }
        text += &format!("\n{table}\n");
    }
    text.trim_end().to_owned()
}

fn answer(Answer { detail, settled_events, next }: Answer) -> String {
    let DeadLetter { id, key, state, .. } = detail.letter;
    let settled = format!("{id} is {}: {settled_events} events of {key} settled", state.as_str());
    match next {
        None => settled,
        Some(next) => format!("{settled}\na later event does not apply: see {next}"),
    }
}

fn pretty(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => format!("{value:#}"),
    }
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// No wider than the terminal.
fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = tables::new(header);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn letter() -> Value {
        json!({
            "id": "6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11", "projection": "stock", "version": 1,
            "shard": 0, "key": "stock/TEA-1", "state": "parked",
            "event": {
                "id": "0192f0c1-0000-7000-8000-000000000001", "type": "tradewind.stock.received.v1",
                "revision": 3, "recorded_at": "2026-01-31T12:00:00Z", "data": { "quantity": "many" },
            },
            "error": "its value cannot be decoded", "parked_at": "2026-01-31T12:00:01Z",
            "settled_at": null, "behind": 2,
        })
    }

    #[test]
    fn the_list_is_a_table_with_a_way_to_the_next_page() {
        let listing = json!({ "items": [letter()], "next": "abc" });
        expect![[r#"
        ┌──────────────────────────────────────┬────────────┬─────────────┬────────┬────────┬─────────────────────┬─────────────────────────────┐
        │ id                                   ┆ projection ┆ key         ┆ behind ┆ state  ┆ parked at           ┆ error                       │
        ╞══════════════════════════════════════╪════════════╪═════════════╪════════╪════════╪═════════════════════╪═════════════════════════════╡
        │ 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 ┆ stock v1   ┆ stock/TEA-1 ┆      2 ┆ parked ┆ 2026-01-31 12:00:01 ┆ its value cannot be decoded │
        └──────────────────────────────────────┴────────────┴─────────────┴────────┴────────┴─────────────────────┴─────────────────────────────┘
        more: --cursor abc"#]].assert_eq(&list(serde_json::from_value(listing).unwrap()));
        let nothing = json!({ "items": [], "next": null });
        assert_eq!(list(serde_json::from_value(nothing).unwrap()), "no dead letters");
    }

    #[test]
    fn a_letter_is_shown_with_its_data_what_waits_and_what_was_done() {
        let mut shown = letter();
        shown["waiting"] = json!([letter()["event"]]);
        shown["audit"] = json!([{
            "at": "2026-01-31T12:05:00Z", "actor": "key:1", "action": "edit", "reason": "ticket 4711",
            "outcome": "nothing is settled", "before": {}, "after": {},
        }]);
        expect![[r#"
        6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11: parked since 2026-01-31 12:00:01
        stock v1, shard 0, key stock/TEA-1
        its value cannot be decoded

        event 0192f0c1-0000-7000-8000-000000000001 (tradewind.stock.received.v1), revision 3, recorded at 2026-01-31 12:00:00
        {
          "quantity": "many"
        }

        ┌──────────────────────────────────────┬─────────────────────────────┬──────────┬─────────────────────┐
        │ waiting                              ┆ type                        ┆ revision ┆ recorded at         │
        ╞══════════════════════════════════════╪═════════════════════════════╪══════════╪═════════════════════╡
        │ 0192f0c1-0000-7000-8000-000000000001 ┆ tradewind.stock.received.v1 ┆ 3        ┆ 2026-01-31 12:00:00 │
        └──────────────────────────────────────┴─────────────────────────────┴──────────┴─────────────────────┘

        ┌─────────────────────┬───────┬──────┬─────────────┬────────────────────┐
        │ at                  ┆ who   ┆ what ┆ why         ┆ outcome            │
        ╞═════════════════════╪═══════╪══════╪═════════════╪════════════════════╡
        │ 2026-01-31 12:05:00 ┆ key:1 ┆ edit ┆ ticket 4711 ┆ nothing is settled │
        └─────────────────────┴───────┴──────┴─────────────┴────────────────────┘"#]].assert_eq(&detail(serde_json::from_value(shown).unwrap()));
    }

    #[test]
    fn what_came_of_it_is_a_sentence() {
        let mut settled = letter();
        settled["state"] = "edited".into();
        settled["waiting"] = json!([]);
        settled["audit"] = json!([]);
        settled["settled_events"] = 3.into();
        settled["next"] = Value::Null;
        expect!["6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 is edited: 3 events of stock/TEA-1 settled"]
            .assert_eq(&answer(serde_json::from_value(settled.clone()).unwrap()));
        settled["next"] = "7f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11".into();
        expect![[r#"
        6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 is edited: 3 events of stock/TEA-1 settled
        a later event does not apply: see 7f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11"#]]
        .assert_eq(&answer(serde_json::from_value(settled).unwrap()));
    }
}
