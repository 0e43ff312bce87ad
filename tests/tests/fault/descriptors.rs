//! A process that may open few files keeps some for what it lives on.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use stack::COMMAND_API;
use stack::eventually::eventually;
use stack::plain_http;
use stack::process::Launch;
use stack::secrets::Secrets;
use stack::{cargo::folder_of_binaries, services::services};
use tokio::net::TcpStream;

use crate::rig::Rig;

const LIMIT: usize = 1024;
const WAIT_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn idle_clients_take_no_descriptors_from_the_store() {
    let rig = Rig::start("few-descriptors").await;
    rig.stock_up("tea", 5).await;
    rig.kill(COMMAND_API).await;
    start_limited(&rig).await;
    let ops_url = services(1).next().expect("a node").ops_url(&rig.state);
    // Connected before the others come, and kept by the client.
    let receive = async || rig.staff.post("/v1/stock/tea/receive", &json!({"quantity": 1})).await;
    let _first = receive().await.expect(200);
    let mut idle = vec![];
    for _ in 0..LIMIT {
        let port = rig.state.ports.nodes.first().copied().expect("a node");
        idle.push(TcpStream::connect(("127.0.0.1", port)).await.expect("a connection"));
    }
    for _ in 0..20 {
        let _received = receive().await.expect(200);
    }
    eventually("the stores take what was received", WAIT_MAX, || async {
        let page = metrics(&ops_url).await;
        let series = |name: &'static str| page.lines().filter(move |line| line.starts_with(name));
        assert_eq!(series("tradewind_store_discarded_total").count(), 0, "{page}");
        let writable: Vec<_> = series("tradewind_store_writable{").collect();
        let all = writable.iter().all(|line| line.ends_with(" 1"));
        let saved = series("tradewind_store_unsaved_bytes{").all(|line| line.ends_with(" 0"));
        if all && saved && !writable.is_empty() { Ok(()) } else { Err(format!("{writable:?}")) }
    })
    .await;
    let pid = rig.service_pids().await[0].expect("it runs");
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count();
    assert!(open < LIMIT * 3 / 4, "{open} of {LIMIT} are open");
}

async fn metrics(ops_url: &str) -> String {
    let request = plain_http::client().get(format!("{ops_url}/metrics"));
    let answer = request.timeout(WAIT_MAX).send().await.expect("operators are answered");
    answer.text().await.expect("a page")
}

/// As a shell does after `ulimit -n 1024`.
async fn start_limited(rig: &Rig) {
    let secrets = Secrets::of(&rig.folder).expect("secrets");
    let service = services(1).next().expect("a node");
    let launch = service.launch(&rig.folder, &rig.state, &secrets).expect("a launch");
    let program = folder_of_binaries().expect("binaries").join("command-api");
    let script = format!("ulimit -n {LIMIT} && exec '{}' serve", program.display());
    let (program, args) = (PathBuf::from("sh"), vec!["-c".to_owned(), script]);
    let part = rig.folder.part(COMMAND_API);
    part.start(Launch { program, args, ..launch }).await.expect("the node starts");
    service.wait_ready(&rig.folder, &rig.state).await.expect("the node is ready");
}
