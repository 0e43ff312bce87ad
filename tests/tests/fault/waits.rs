//! Services outlive what they depend on, say what they wait for, and go on by themselves.

use std::time::Duration;

use serde_json::json;
use stack::eventually::eventually;
use stack::services::readiness;
use stack::{COMMAND_API, KAFKA, POSTGRES, PROJECTOR, QUERY_API};
use tests::harness::client::{send, try_send};

use crate::rig::{OUTAGE_MAX, Rig};

const NOTICE_WAIT_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn without_kafka_commands_wait_and_queries_go_on() {
    let rig = Rig::start("without-kafka").await;
    rig.stock_up("tea", 5).await;
    rig.kill(KAFKA).await;
    let refused = eventually("a command is refused", NOTICE_WAIT_MAX, || async {
        let body = json!({"quantity": 1});
        let request = rig.staff.command(reqwest::Method::POST, "/v1/stock/tea/receive").json(&body);
        match try_send(request).await {
            Ok(answer) if answer.status == 503 => Ok(answer),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_ne!(refused.header("retry-after"), "", "{}", refused.body);
    let _stock = send(rig.staff.query("/v1/stock/tea")).await.expect(200);
    is_unready(&rig, COMMAND_API, "shards").await;

    rig.up().await;
    let _again = rig.staff.post("/v1/stock/tea/receive", &json!({"quantity": 1})).await.expect(200);
}

#[tokio::test]
async fn services_start_before_their_servers() {
    let rig = Rig::start("before").await;
    for part in [COMMAND_API, PROJECTOR, QUERY_API, KAFKA, POSTGRES] {
        rig.kill(part).await;
    }
    rig.start_services().await;
    is_unready(&rig, COMMAND_API, "kafka").await;
    is_unready(&rig, PROJECTOR, "kafka").await;
    is_unready(&rig, QUERY_API, "read models").await;
    // Only the servers are missing now, and no service is started anew.
    let before = rig.service_pids().await;
    rig.up().await;
    assert_eq!(rig.service_pids().await, before);
    rig.stock_up("tea", 5).await;
}

/// `/readyz` names what is missing.
async fn is_unready(rig: &Rig, part: &str, reason: &str) {
    let url = rig.url(part);
    eventually(&format!("{part} says what it waits for"), OUTAGE_MAX, || async {
        match readiness(&url).await {
            Err(error) if error.to_string().contains(reason) => Ok(()),
            Err(error) => Err(format!("{error:#}")),
            Ok(()) => Err("ready".to_owned()),
        }
    })
    .await;
}
