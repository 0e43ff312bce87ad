//! A database that is away, at the start or later.

use stack::eventually::eventually;
use tests::harness::{client::Client, servers};
use uuid::Uuid;

use crate::rig::{Rig, WAIT_MAX, serve};

#[tokio::test(flavor = "multi_thread")]
async fn a_query_api_waits_for_its_database_and_tables() {
    let name = format!("query_{}", Uuid::now_v7().simple());
    let servers = servers::shared().await.expect("servers");
    let elsewhere = servers.create_database(&format!("{name}_other")).await.expect("a database");
    let url = elsewhere.query.replace(&format!("{name}_other"), &name);
    let (api, shutdown, task) = serve(&url);
    let client = Client::new("", &api, None);
    let problem = client.get("/v1/stock/A").await.expect_problem(503, "unavailable");
    assert_eq!(problem.header("retry-after"), "1");
    assert!(!problem.body.to_string().contains(&name), "{}", problem.body);
    not_ready(&client, "cannot be reached").await;
    assert_eq!(client.get("/livez").await.status, 200);

    servers.create_database(&name).await.expect("a database");
    not_ready(&client, "waiting for the projector to make").await;
    shutdown.request();
    task.await.expect("no panic").expect("an orderly end");
    for database in [name.clone(), format!("{name}_other")] {
        servers.remove_database(&database).await.expect("a database to remove");
    }
}

async fn not_ready(client: &Client, reason: &str) {
    eventually("the reason to show", WAIT_MAX, || async {
        let answer = client.get("/readyz").await;
        let told = answer.status == 503 && answer.body.to_string().contains(reason);
        if told { Ok(()) } else { Err(answer.body) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_over_new_connections() {
    let rig = Rig::start().await;
    rig.stock("A", 1, 0).await;
    rig.anon().get("/v1/stock/A").await.expect(200);
    rig.disconnect().await;
    eventually("reads to go on", WAIT_MAX, || async {
        let answer = rig.anon().get("/v1/stock/A").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.expect(503).body) }
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_is_told_and_nothing_else_breaks() {
    let rig = Rig::start().await;
    rig.remove_database().await;
    let client = rig.anon();
    for path in ["/v1/stock/A", "/v1/products", "/v1/positions"] {
        client.get(path).await.expect_problem(503, "unavailable");
    }
    not_ready(&client, "cannot be reached").await;
    assert_eq!(client.get("/livez").await.status, 200);
    rig.end().await;
}
