//! Who signs in with a certificate, or a password, and who does not.

use infra::log::kafka::KafkaLog;
use infra::telemetry::chain;

use crate::deeds;
use crate::issuer::NO_KEYS;
use crate::page;
use crate::rig::{EVENTS, Rig, Variables, read};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_known_by_its_certificate_and_told_why_it_is_not() {
    let rig = Rig::start("guarded-certificates", &["command-api"], NO_KEYS).await;
    rig.grant(page::commands(&page::text())).await;
    rig.make_topics().await;
    let kafka = read(rig.by_certificate("command-api")).expect("settings");
    assert_eq!(deeds::of("command-api", &kafka).await, deeds::NO_TROUBLES);

    check(rig.by_certificate("stranger"), "the ACL Read on topic \"tradewind.events\"").await;
    // What TLS calls an empty one.
    check(rig.by_nothing(), "do not come together").await;
    check(rig.by_nothing(), "alert bad certificate").await;
    let mut wrong = rig.by_password("command-api", "SCRAM-SHA-512");
    wrong.retain(|(name, _)| !name.ends_with("PASSWORD"));
    wrong.push(("TRADEWIND_KAFKA__SASL_PASSWORD".to_owned(), "wrong".to_owned()));
    check(wrong, "SASL authentication error").await;
    let mut untrusting = rig.by_password("command-api", "SCRAM-SHA-512");
    untrusting.retain(|(name, _)| !name.ends_with("CA_FILE"));
    check(untrusting, "certificate verify failed").await;
}

/// Who does not get in is told so.
async fn check(variables: Variables, expected: &str) {
    let kafka = read(variables).expect("settings");
    let refused = KafkaLog::connect(&kafka, EVENTS).await.err().expect("no connection");
    let told = chain(&refused).to_string();
    assert!(told.contains(expected), "{expected}: {told}");
}
