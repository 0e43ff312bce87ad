//! `projector dead-letters …`: what waits, and having it tried again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use infra::operator::Operator;
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Out, show, tables};
use crate::{
    settle::Outcome,
    store::letters::{AuditEntry, DeadLetter, DeadLetterState, Detail},
};

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
    },
    /// Show one, with what waits behind it and what was done about it
    Show { id: Uuid },
    /// Apply the events of its key again, in order
    Retry {
        id: Uuid,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
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
    },
    /// Have the projection pass over the event, and apply those behind it
    Skip {
        id: Uuid,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
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

#[derive(Deserialize, Serialize)]
struct Listing {
    items: Vec<DeadLetter>,
    next: Option<String>,
}

pub(super) async fn run(
    operator: &Operator,
    command: &Command,
    json: bool,
    out: Out<'_>,
) -> Result<()> {
    let (id, act, body) = match command {
        Command::List { state, projection, limit, cursor } => {
            let query = [
                state.map(|state| ("state", state.as_str().to_owned())),
                projection.clone().map(|projection| ("projection", projection)),
                Some(("limit", limit.to_string())),
                cursor.clone().map(|cursor| ("cursor", cursor)),
            ];
            let query = query.into_iter().flatten();
            let url = Url::parse_with_params(&format!("http://projector{PATH}"), query)?;
            let path = format!("{PATH}?{}", url.query().unwrap_or_default());
            return show(out, json, &operator.ask(Method::GET, &path, None).await?, list);
        }
        Command::Show { id } => {
            let found = operator.ask(Method::GET, &format!("{PATH}/{id}"), None).await?;
            return show(out, json, &found, detail);
        }
        Command::Retry { id, reason } => (id, "retry", json!({ "reason": reason })),
        Command::Edit { id, data, reason } => {
            (id, "edit", json!({ "data": read(data)?, "reason": reason }))
        }
        Command::Skip { id, reason } => (id, "skip", json!({ "reason": reason })),
    };
    let path = format!("{PATH}/{id}/{act}");
    show(out, json, &operator.ask(Method::POST, &path, Some(&body)).await?, outcome)
}

fn read(file: &Path) -> Result<Value> {
    let shown = file.display();
    let text = std::fs::read(file).with_context(|| format!("reading {shown}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{shown} is not JSON"))
}

fn list(Listing { items, next }: &Listing) -> String {
    if items.is_empty() {
        return "no dead letters".to_owned();
    }
    let header = ["id", "projection", "key", "behind", "state", "parked at", "error"];
    let mut table = tables::new(header, &[3]);
    for DeadLetter { id, projection, version, key, state, error, parked_at, behind, .. } in items {
        let name = format!("{projection} v{version}");
        let (state, parked_at) = (state.as_str(), shown(*parked_at));
        tables::add(&mut table, [id, &name, key, behind, &state, &parked_at, error]);
    }
    match next {
        Some(next) => format!("{table}\nmore: --cursor {next}"),
        None => table.to_string(),
    }
}

fn detail(Detail { letter, correction, waiting, audit }: &Detail) -> String {
    let DeadLetter { id, projection, version, shard, key, state, event, error, .. } = letter;
    let state = state.as_str();
    let mut text = format!(
        "{id}: {state} since {}\n{projection} v{version}, shard {shard}, key {key}\n{error}\n\n\
         event {} ({}), revision {}, recorded at {}\n{}\n",
        shown(letter.settled_at.unwrap_or(letter.parked_at)),
        event.id,
        event.kind,
        event.revision,
        shown(event.recorded_at),
        pretty(event.data.as_ref().unwrap_or(&Value::Null)),
    );
    if let Some(correction) = correction {
        text += &format!("\nread instead of it:\n{}\n", pretty(correction));
    }
    if !waiting.is_empty() {
        let mut table = tables::new(["waiting", "type", "revision", "recorded at"], &[]);
        for event in waiting {
            let recorded_at = shown(event.recorded_at);
            tables::add(&mut table, [&event.id, &event.kind, &event.revision, &recorded_at]);
        }
        text += &format!("\n{table}\n");
    }
    if !audit.is_empty() {
        let mut table = tables::new(["at", "who", "what", "why", "outcome"], &[]);
        for AuditEntry { at, actor, action, reason, outcome, .. } in audit {
            let reason = reason.as_deref().unwrap_or_default();
            tables::add(&mut table, [&shown(*at), actor, action, &reason, outcome]);
        }
        text += &format!("\n{table}\n");
    }
    text.trim_end().to_owned()
}

fn outcome(Outcome { letter, settled_events, next }: &Outcome) -> String {
    let DeadLetter { id, key, state, .. } = &letter.letter;
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
        more: --cursor abc"#]].assert_eq(&list(&serde_json::from_value(listing).unwrap()));
        let nothing = json!({ "items": [], "next": null });
        assert_eq!(list(&serde_json::from_value(nothing).unwrap()), "no dead letters");
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
        └─────────────────────┴───────┴──────┴─────────────┴────────────────────┘"#]].assert_eq(&detail(&serde_json::from_value(shown).unwrap()));
    }

    #[test]
    fn what_came_of_it_is_a_sentence() {
        let mut settled = letter();
        settled["state"] = "edited".into();
        (settled["waiting"], settled["audit"]) = (json!([]), json!([]));
        (settled["settled_events"], settled["next"]) = (3.into(), Value::Null);
        let said = |settled: &Value| outcome(&serde_json::from_value(settled.clone()).unwrap());
        expect!["6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 is edited: 3 events of stock/TEA-1 settled"]
            .assert_eq(&said(&settled));
        settled["next"] = "7f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11".into();
        expect![[r#"
        6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 is edited: 3 events of stock/TEA-1 settled
        a later event does not apply: see 7f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11"#]]
        .assert_eq(&said(&settled));
    }
}
