//! A local stack of real processes in a folder of its own, for tests that kill parts of it.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stack::detours::Detours;
use stack::eventually::eventually;
use stack::folder::Folder;
use stack::ports::{Ports, Size};
use stack::secrets::Secrets;
use stack::services::services;
use stack::state::{Existing, StackState};
use stack::topic::SHARDS_OF_TESTS;
use stack::{down, up};
use tests::harness::{
    self,
    client::{Answer, Client, try_send},
};

/// How long a part may be away and a request be retried.
pub(crate) const OUTAGE_MAX: Duration = Duration::from_secs(90);

pub(crate) struct Rig {
    pub(crate) folder: Folder,
    pub(crate) state: StackState,
    pub(crate) staff: Client,
}

impl Rig {
    /// Brings a stack up on free ports. What a test that was cut off left behind ends first.
    pub(crate) async fn start(name: &str) -> Self {
        let folder = Folder::at(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        down::reset(&folder).await.expect("an empty folder");
        folder.create().expect("a folder");
        let ports = Ports::free(Size::SMALL).expect("ports");
        let existing = Existing::default();
        let (topic, detours) = ("tradewind.events".to_owned(), Detours::default());
        let state = StackState { ports, topic, existing, detours, guard: None, is_lasting: false };
        state.write(&folder).expect("a state");
        let secrets = Secrets::of(&folder).expect("secrets");
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let (command, query) = (url(state.ports.nodes[0]), url(state.ports.query_api));
        // The operator has all roles.
        let staff = Client::new(&command, &query, Some(secrets.operator_key));
        // Whole before anything runs, so that dropping it ends what has started.
        let rig = Self { folder, state, staff };
        let args = up::Args { shards: Some(SHARDS_OF_TESTS), ..up::Args::default() };
        up::up(&rig.folder, &args).await.expect("the stack comes up");
        rig
    }

    /// Starts what does not run.
    pub(crate) async fn up(&self) {
        let args = up::Args { no_build: true, ..up::Args::default() };
        up::up(&self.folder, &args).await.expect("the stack comes up again");
    }

    /// Starts the services alone, without waiting for them.
    pub(crate) async fn start_services(&self) {
        let secrets = Secrets::of(&self.folder).expect("secrets");
        for service in services(1) {
            let started = service.start(&self.folder, &self.state, &secrets).await;
            started.expect("a service starts");
        }
    }

    pub(crate) async fn service_pids(&self) -> Vec<Option<i32>> {
        let mut pids = vec![];
        for service in services(1) {
            let pid = self.folder.part(&service.part).pid().await.expect("a pid file");
            pids.push(pid.map(nix::unistd::Pid::as_raw));
        }
        pids
    }

    pub(crate) async fn kill(&self, part: &str) {
        self.folder.part(part).kill().await.expect("a part to kill");
    }

    pub(crate) fn url(&self, part: &str) -> String {
        let service = services(1).find(|service| service.part == part).expect("a service");
        service.url(&self.state)
    }

    /// A product with units that a query can see.
    pub(crate) async fn stock_up(&self, sku: &str, units: u32) {
        let price = json!({"amount": 450, "currency": "USD"});
        let body = json!({"sku": sku, "name": sku, "department": "DRINKS", "price": price});
        let created = self.staff.post("/v1/products", &body).await.expect(201);
        let publish = format!("/v1/products/{}/publish", created.text("/id"));
        let _published = self.staff.post(&publish, &json!({})).await.expect(200);
        let receive = format!("/v1/stock/{sku}/receive");
        let received = self.staff.post(&receive, &json!({"quantity": units})).await.expect(200);
        let _seen = self.staff.get_after(&format!("/v1/stock/{sku}"), &received).await.expect(200);
    }
}

/// Sends a command until it is answered, as a client does that holds its Idempotency-Key.
pub(crate) async fn insist(client: &Client, key: &str, path: &str, body: &Value) -> Answer {
    let request = || client.command(Method::POST, path).header("Idempotency-Key", key).json(body);
    insist_on(request).await
}

/// Sends a request until it is answered with anything but an outage.
pub(crate) async fn insist_on(request: impl Fn() -> RequestBuilder) -> Answer {
    eventually("an answer", OUTAGE_MAX, || async {
        match try_send(request()).await {
            Ok(answer) if answer.status < 500 => Ok(answer),
            Ok(answer) => Err(answer.body.to_string()),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await
}

impl Drop for Rig {
    fn drop(&mut self) {
        harness::end(&self.folder);
    }
}
