//! What the services may do: what docs/operations.md lists, each of it needed, none missing.

use std::time::Duration;

use domain::shard::ShardId;
use futures_util::future::join_all;
use infra::log::kafka::ensure_topic;
use infra::log::progress::Progress;
use serde_json::json;
use stack::eventually::eventually;
use stack::services::{Node, Role};
use tests::harness::{Elsewhere, Stack};

use crate::issuer::NO_KEYS;
use crate::page::{self, Acl};
use crate::rig::{EVENTS, NODES, Rig, read, specs};
use crate::{deeds, lines};

const SETTLE_WAIT_MAX: Duration = Duration::from_secs(30);
/// What who has no right at all is told, and tells.
const LACKING_ALL: &str = "the brokers refuse it: the service's user needs the ACL Read on topic \
                           \"tradewind.events\"";
const USERS: [&str; 4] = ["provisioner", "command-api", "projector", "query-api"];

#[tokio::test(flavor = "multi_thread")]
async fn the_services_say_what_they_lack_and_live_with_the_acls_of_the_page() {
    lines::keep();
    let rig = Rig::start("guarded-services", &USERS, NO_KEYS).await;
    let commands = page::commands(&page::text()).into_iter();
    let is_provisioning = |line: &String| line.contains("User:provisioner ");
    let (provisioning, serving): (Vec<_>, Vec<_>) = commands.partition(is_provisioning);
    rig.grant(provisioning).await;
    let provisioner = read(rig.by_password("provisioner", "PLAIN")).expect("settings");
    assert_eq!(deeds::of("provisioner", &provisioner).await, deeds::NO_TROUBLES);

    let command_api = rig.by_password("command-api", "SCRAM-SHA-512");
    let projector = rig.by_password("projector", "SCRAM-SHA-256");
    let query_api = rig.by_password("query-api", "SCRAM-SHA-256");
    let settings = move |role| match role {
        Role::CommandApi => command_api.clone(),
        Role::Projector => projector.clone(),
        Role::QueryApi => query_api.clone(),
    };
    let node = Node { name: "node-1".to_owned(), url: "http://127.0.0.1:1".to_owned() };
    let elsewhere = Elsewhere { topic: EVENTS.to_owned(), node, settings: Box::new(settings) };
    let granting = async {
        eventually("both say what they lack", SETTLE_WAIT_MAX, || async {
            let kept = lines::kept();
            let lacks = |begin: &str| kept.contains(&format!("{begin}{LACKING_ALL}"));
            let say_so = lacks("waiting for the event log: ") && lacks("cannot open the log yet: ");
            if say_so { Ok(()) } else { Err(kept) }
        })
        .await;
        rig.grant(serving).await;
    };
    // Among other things, keys have been issued by commands and found by queries when it returns.
    let (stack, ()) = tokio::join!(Stack::start_on(elsewhere), granting);
    sell(&stack).await;
    for group in ["tradewind.process", "tradewind.projector"] {
        let progress = Progress::open(&rig.open(), group, EVENTS).expect("a client");
        eventually(&format!("{group} keeps its place"), SETTLE_WAIT_MAX, || async {
            match progress.load(ShardId::new(0)).await {
                Ok(Some(_)) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
    stack.finish().await;
}

/// A command that processes react to, and a query that shows what came of it.
async fn sell(stack: &Stack) {
    let staff = stack.staff();
    let price = json!({"amount": 450, "currency": "USD"});
    let body = json!({"sku": "TEA-1", "name": "Tea", "department": "DRINKS", "price": price});
    let created = staff.post("/v1/products", &body).await.expect(201);
    let publish = format!("/v1/products/{}/publish", created.text("/id"));
    let _published = staff.post(&publish, &json!({})).await.expect(200);
    let receive = json!({"quantity": 5});
    let received = staff.post("/v1/stock/TEA-1/receive", &receive).await.expect(200);
    let shown = staff.get_after("/v1/stock/TEA-1", &received).await.expect(200);
    assert_eq!(shown.body["on_hand"], 5);
    let replay = stack.analyst().query("/v1/events?stream=stock/TEA-1").send().await;
    let replay = replay.expect("an answer").text().await.expect("a body");
    assert!(replay.contains("tradewind.stock.received.v1"), "{replay}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lacks_one_of_the_acls_is_told_which() {
    lines::keep();
    let acls: Vec<Acl> = page::table(&page::text()).into_iter().collect();
    let lacking: Vec<String> = (0..acls.len()).map(|number| format!("user-{number}")).collect();
    let names: Vec<&str> = lacking.iter().map(String::as_str).chain(USERS).collect();
    let rig = Rig::start("guarded-lacks", &names, NO_KEYS).await;
    rig.make_topics().await;
    // Each user has the ACLs of a service but for one, and somebody has all.
    let grants = acls.iter().map(|acl| {
        let others = acls.iter().zip(&lacking);
        let others = others.filter(|(lacked, _)| *lacked != acl && lacked.user == acl.user);
        acl.granted_to(others.map(|(_, user)| &**user).chain([&*acl.user]))
    });
    rig.grant(grants).await;
    for service in USERS {
        let kafka = read(rig.by_password(service, "SCRAM-SHA-512")).expect("settings");
        assert_eq!(deeds::of(service, &kafka).await, deeds::NO_TROUBLES, "{service}");
    }
    let tries = acls.iter().zip(&lacking).map(|(lacked, user)| {
        let kafka = read(rig.by_password(user, "SCRAM-SHA-512")).expect("settings");
        async move { deeds::of(&lacked.user, &kafka).await }
    });
    for (lacked, troubles) in acls.iter().zip(join_all(tries).await) {
        if lacked.operation == "Create" {
            assert_eq!(troubles, deeds::NO_TROUBLES, "a topic that is there is used");
            continue;
        }
        let title = lacked.title();
        // Nobody is answered about a beat.
        let is_of_beats = lacked.name == NODES && lacked.user == "command-api";
        let told = if is_of_beats { lines::kept() } else { troubles.join("\n") };
        assert!(told.contains(&title), "{} without {title}: {told}", lacked.user);
    }
    let provisioner = read(rig.by_password("provisioner", "SCRAM-SHA-512")).expect("settings");
    let refused = ensure_topic(&provisioner, "another", specs().0).await.expect_err("no right");
    assert!(refused.to_string().contains("the ACL Create on topic \"another\""), "{refused}");
}
