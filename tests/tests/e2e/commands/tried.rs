//! What came of the commands that were sent, and what is left to be looked for.

use std::{cell::RefCell, collections::BTreeMap};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{
    audit::{Commit, Observer, audit_with},
    harness::{
        Stack,
        client::{Answer, Client, send},
    },
};

use crate::values::verify;

/// Of the cases of each command at least one in so many is accepted: of what is refused nothing is proved.
const ACCEPTED_ONE_IN: u32 = 3;

pub(super) struct Tried<'a> {
    pub(super) stack: &'a Stack,
    /// Made once, for making a client takes longer than a command.
    pub(super) guest: Client,
    pub(super) staff: Client,
    pub(super) operator: Client,
    /// By method and path: how many were sent, and how many of them were accepted.
    commands: RefCell<BTreeMap<&'static str, (u32, u32)>>,
    /// What no document shows, by the id of the event that has to hold it.
    logged: RefCell<BTreeMap<String, Value>>,
}

impl<'a> Tried<'a> {
    pub(super) fn new(stack: &'a Stack) -> Self {
        let (guest, staff, operator) = (stack.anon(), stack.staff(), stack.operator());
        let (commands, logged) = (RefCell::default(), RefCell::default());
        Self { stack, guest, staff, operator, commands, logged }
    }

    /// The answer if the command was accepted. What is neither that nor refused with a reason fails the
    /// test.
    #[track_caller]
    pub(super) fn judge(
        &self,
        command: &'static str,
        sent: &Value,
        answer: Answer,
    ) -> Option<Answer> {
        let told = format!("{command} with {sent} got {}: {}", answer.status, answer.body);
        let mut commands = self.commands.borrow_mut();
        let (all, accepted) = commands.entry(command).or_default();
        *all += 1;
        if (200..300).contains(&answer.status) {
            *accepted += 1;
            let position = answer.header("Tradewind-Position");
            assert!(!position.is_empty(), "no position: {told}");
            assert_eq!(answer.body["position"], position, "{told}");
            return Some(answer);
        }
        assert!((400..500).contains(&answer.status), "{told}");
        assert_ne!(answer.status, 429, "it had to be judged: {told}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{told}");
        assert!(answer.body["code"].is_string(), "{told}");
        None
    }

    /// Has the log looked at for what a command told in its first event.
    #[track_caller]
    pub(super) fn logs(&self, accepted: &Answer, data: Value) {
        let id = accepted.text("/events/0/id").to_owned();
        self.logged.borrow_mut().insert(id, data);
    }

    /// The document at the position of an answer, as staff see it.
    pub(super) async fn shown(&self, path: &str, accepted: &Answer) -> Value {
        read(self.staff.query(path), accepted).await
    }

    /// Every command of the contract was tried, and enough of each was accepted.
    pub(super) async fn covers_the_contract(&self) {
        let request = self.guest.command(Method::GET, "/openapi.json");
        let contract = send(request).await.expect(200);
        let paths = contract.body["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = ["post", "put", "patch", "delete"].into_iter();
            let methods = methods.filter(|method| item.get(method).is_some());
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        let mut operations: Vec<_> = operations.collect();
        operations.sort();
        let tried = self.commands.borrow();
        assert_eq!(
            operations,
            tried.keys().copied().collect::<Vec<_>>(),
            "commands and generators"
        );
        for (command, (all, accepted)) in &*tried {
            let enough = *accepted * ACCEPTED_ONE_IN >= *all;
            assert!(enough, "{accepted} of {all} were accepted of {command}");
        }
        let refused: u32 = tried.values().map(|(all, accepted)| all - accepted).sum();
        assert!(refused > 0, "nothing was near an edge");
    }

    /// No read model has stopped, put an event aside or become another one than the log says, no process
    /// waits for an operator, and the log holds what no document shows.
    pub(super) async fn left_all_well(&self) {
        let projector = self.stack.projector();
        let status = projector.get("/v1/admin/status").await.expect(200).body;
        let items = status["items"].as_array().expect("items");
        let halted: Vec<_> = items.iter().filter(|item| item["state"] == "halted").collect();
        assert!(halted.is_empty(), "{halted:?}");
        let letters = projector.get("/v1/admin/dead-letters").await.expect(200).body;
        assert_eq!(letters["items"], json!([]), "{letters}");
        let steps = parked_steps(&self.operator).await;
        assert!(steps.is_empty(), "{steps:?}");
        let versions = status["versions"].as_array().expect("versions");
        assert!(!versions.is_empty(), "{status}");
        for version in versions {
            verify(self.stack, version["projection"].as_str().expect("a name")).await;
        }
        let (servers, topic) = (self.stack.bootstrap_servers(), self.stack.topic());
        let (_, Logged(events)) =
            audit_with(&servers, topic, Logged::default()).await.expect("an audit");
        for (id, data) in &*self.logged.borrow() {
            assert_shows(events.get(id).unwrap_or(&Value::Null), data);
        }
    }
}

/// What comes of a command with a body, or without a byte of one.
pub(super) async fn sent(command: RequestBuilder, body: Option<&Value>) -> Answer {
    send(match body {
        Some(body) => command.json(body),
        None => command,
    })
    .await
}

/// The document at the position of an answer.
pub(super) async fn read(request: RequestBuilder, accepted: &Answer) -> Value {
    told(request, accepted).await.expect(200).body
}

/// What the query API tells at the position of an answer.
pub(super) async fn told(request: RequestBuilder, accepted: &Answer) -> Answer {
    let request = request.header("Tradewind-Position", accepted.header("Tradewind-Position"));
    send(request.header("Prefer", "wait=30")).await
}

/// What processes wait for an operator with.
pub(super) async fn parked_steps(operator: &Client) -> Vec<Value> {
    let request = operator.command(Method::GET, "/v1/admin/parked-steps?limit=200");
    let listing = send(request).await.expect(200).body;
    listing["items"].as_array().cloned().expect("items")
}

/// All that was sent is there under the same names. What was sent as null is null or absent.
#[track_caller]
pub(super) fn assert_shows(shown: &Value, sent: &Value) {
    if let Some(difference) = difference("", sent, shown) {
        assert_eq!(difference, "", "in {shown}");
    }
}

fn difference(at: &str, sent: &Value, shown: &Value) -> Option<String> {
    match (sent, shown) {
        (Value::Object(sent), Value::Object(shown)) => sent.iter().find_map(|(name, sent)| {
            difference(&format!("{at}/{name}"), sent, shown.get(name).unwrap_or(&Value::Null))
        }),
        (Value::Array(sent), Value::Array(shown)) if sent.len() == shown.len() => {
            let mut pairs = sent.iter().zip(shown).enumerate();
            pairs.find_map(|(index, (sent, shown))| {
                difference(&format!("{at}/{index}"), sent, shown)
            })
        }
        // A number is the same number with a decimal point and without.
        (Value::Number(sent), Value::Number(shown))
            if (sent.is_f64() || shown.is_f64()) && sent.as_f64() == shown.as_f64() =>
        {
            None
        }
        _ => (sent != shown).then(|| format!("{at}: {sent} became {shown}")),
    }
}

/// The data of all events by their ids.
#[derive(Default)]
struct Logged(BTreeMap<String, Value>);

impl Observer for Logged {
    fn observe(&mut self, commit: &Commit) {
        let events = commit.records.iter().map(|record| (record.id.clone(), record.value.clone()));
        self.0.extend(events);
    }
}
