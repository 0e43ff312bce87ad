//! Who signs in with tokens, which expire.

use std::time::Duration;

use domain::shard::ShardId;
use infra::log::kafka::KafkaLog;
use infra::log::progress::Progress;
use infra::log::{Checkpoint, EventLog, Nonce, OutgoingRecord, Prefetch, Ticket, sample};
use infra::telemetry::chain;
use stack::eventually::eventually;
use tokio::time::{Instant, interval, timeout};

use crate::deeds;
use crate::issuer::{Issuer, SECRET};
use crate::page;
use crate::rig::{EVENTS, Rig, read};

/// Of a token, and of a connection that was opened with it.
const LIFE: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(90);
const SHARD: ShardId = ShardId::new(0);

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_all_kinds_sign_in_with_tokens_and_bring_new_ones() {
    let issuer = Issuer::start(LIFE).await;
    let rig = Rig::start("guarded-tokens", &[], &issuer.jwks).await;
    rig.grant(page::commands(&page::text())).await;
    let as_user = |user: &str| read(rig.by_token(user, &issuer.url, SECRET)).expect("settings");
    for user in ["provisioner", "command-api", "projector"] {
        assert_eq!(deeds::of(user, &as_user(user)).await, deeds::NO_TROUBLES, "{user}");
    }
    let wrong = read(rig.by_token("projector", &issuer.url, "wrong")).expect("settings");
    let refused = KafkaLog::connect(&wrong, EVENTS).await.err().expect("no token");
    let told = chain(&refused).to_string();
    assert!(told.contains("Failed to acquire SASL OAUTHBEARER token"), "{told}");

    let kafka = as_user("command-api");
    let log = KafkaLog::connect(&kafka, EVENTS).await.expect("the log");
    let progress = Progress::open(&kafka, "tradewind.process", EVENTS).expect("a client");
    let (mut writer, mut reports) = log.open_writer(SHARD).await.expect("a writer");
    let mut next = log.range(SHARD).await.expect("its end").end;
    let mut reader = log.open_reader(SHARD, next, Prefetch::Level).await.expect("a reader");
    let (began, issued) = (Instant::now(), issuer.issued());
    // The same clients go on for three lives of a token.
    let mut ticks = interval(Duration::from_millis(100));
    while began.elapsed() < 3 * LIFE {
        ticks.tick().await;
        let claim = OutgoingRecord::Claim(sample::claim(Nonce::random()));
        writer.append(&claim, Ticket::CLAIM).expect("room");
        let report = timeout(PATIENCE, reports.recv()).await.expect("in time").expect("a report");
        let offset = report.result.expect("appended").expect("an offset");
        while next <= offset {
            let records = reader.read(100, PATIENCE).await.expect("records");
            next = records.last().expect("a record").offset + 1;
        }
        assert_eq!(log.range(SHARD).await.expect("its end").end, offset + 1);
        progress.store(SHARD, Checkpoint::START).await.expect("a place");
    }
    // Each of the four has asked for another one at least twice.
    eventually("new tokens", PATIENCE, || async {
        let since = issuer.issued() - issued;
        if since >= 8 { Ok(()) } else { Err(since) }
    })
    .await;
}
