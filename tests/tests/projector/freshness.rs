//! How fresh the read models are, also while nothing happens, and whose keys are believed for that.

use chrono::{DateTime, Utc};
use domain::{api_key::ApiKeyId, shard::ShardId};
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{auth::ApiKey, log::Nonce, position::Position};
use serde_json::json;
use stack::{eventually::eventually, plain_http};
use tests::harness::client::send;
use uuid::Uuid;

use crate::{
    history::{Event, Owner, received},
    rig::{OPERATOR_KEY, Projector, Rig, WAIT_MAX},
};

/// The moment as of which every projection is level in the shard.
async fn level_at(rig: &Rig) -> Option<DateTime<Utc>> {
    let level: Vec<Option<DateTime<Utc>>> =
        sqlx::query_scalar("SELECT level_at FROM read.positions WHERE shard = 0")
            .fetch_all(&rig.pool)
            .await
            .expect("positions");
    level.into_iter().min().flatten()
}

async fn level_since(rig: &Rig, moment: DateTime<Utc>) -> DateTime<Utc> {
    eventually("all to be level", WAIT_MAX, || async {
        let level = level_at(rig).await;
        level.filter(|at| *at > moment).ok_or((level, moment))
    })
    .await
}

async fn now(rig: &Rig) -> DateTime<Utc> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&rig.pool).await.expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_log_is_known_to_be_idle_as_long_as_somebody_looks() {
    let rig = Rig::start(1).await;
    let projector = rig.projector();
    level_since(&rig, now(&rig).await).await;
    // A claim that no commit follows is nothing to be applied.
    let mut owner = Owner::claim(&rig.log, 0).await;
    level_since(&rig, now(&rig).await).await;
    rig.applied_to(0, owner.commit(&[received("A", 1, 7)])).await;
    level_since(&rig, now(&rig).await).await;
    projector.stop().await;
    // Nobody looks: what is acknowledged from here on, nobody knows. Less may be known than before.
    let stopped = level_at(&rig).await;
    owner.commit(&[received("B", 1, 7)]);
    let known = level_at(&rig).await;
    assert!(known <= stopped, "{known:?} after {stopped:?}");
    let projector = rig.projector();
    rig.applied_to(0, rig.log_end(0).await).await;
    level_since(&rig, now(&rig).await).await;
    projector.end(rig).await;
}

/// What an order that is wrong in itself is answered.
async fn status(projector: &Projector, key: &ApiKey) -> (u16, String) {
    let url = format!("{}/v1/admin/dead-letters?limit=x", projector.url);
    let answer = send(plain_http::client().get(url).bearer_auth(key.expose())).await;
    (answer.status, answer.code().to_owned())
}

fn new_key() -> ApiKey {
    ApiKey::generate(ApiKeyId::new(Uuid::now_v7()), &"whatever".into()).expect("a key")
}

/// Asks from one of this machine's own addresses, as of a position in shard 0.
async fn ask_at(projector: &Projector, from: u8, key: &str, at: &Position) -> (u16, String) {
    let from = std::net::Ipv4Addr::new(127, 0, 0, from);
    let client = reqwest::Client::builder().no_proxy().local_address(std::net::IpAddr::from(from));
    let ask = client.build().expect("a client").get(format!("{}/v1/admin/status", projector.url));
    let ask = ask.bearer_auth(key).header("tradewind-position", at.to_string());
    let answer = send(ask.header("prefer", "wait=30")).await;
    (answer.status, answer.code().to_owned())
}

async fn known(projector: &Projector, key: &ApiKey) {
    eventually("a key to be known", WAIT_MAX, || async {
        let told = status(projector, key).await;
        if told.0 == 422 { Ok(()) } else { Err(told) }
    })
    .await;
}

async fn log_id(rig: &Rig) -> Nonce {
    let log_id: String = sqlx::query_scalar("SELECT min(log_id) FROM read.positions")
        .fetch_one(&rig.pool)
        .await
        .expect("a log");
    log_id.parse().expect("a log's id")
}

fn issued(key: &ApiKey, roles: &[&str]) -> Event {
    let data = json!({"name": "test", "roles": roles, "hash": key.hash.to_string()});
    Event { stream: key.id.stream().to_string(), revision: 1, kind: "issued", data }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_door_knows_keys_as_far_as_their_read_model_is_level() {
    let rig = Rig::start(1).await;
    let (operator, staff, unknown) = (new_key(), new_key(), new_key());
    let mut owner = Owner::claim(&rig.log, 0).await;
    owner.commit(&[issued(&operator, &["operator"])]);
    let end = owner.commit(&[issued(&staff, &["staff"])]);
    let projector = rig.projector();
    eventually("keys to be known", WAIT_MAX, || async {
        let told = status(&projector, &unknown).await;
        // Before that it is not known that nobody issued it.
        if told.0 == 401 {
            Ok(())
        } else {
            assert_eq!(told.0, 503);
            Err(told)
        }
    })
    .await;
    // Who asks is known before what is asked is parsed.
    assert_eq!(status(&projector, &operator).await, (422, "invalid_field".to_owned()));
    assert_eq!(status(&projector, &staff).await, (403, "forbidden".to_owned()));
    assert_eq!(status(&projector, &unknown).await, (401, "invalid_key".to_owned()));
    let ahead = Position::of(ShardId::new(0), log_id(&rig).await, end + 1);
    let url = format!("{}/v1/admin/status", projector.url);
    let ask = plain_http::client().get(url).bearer_auth(operator.expose());
    let ask = ask.header("tradewind-position", ahead.to_string()).header("prefer", "wait=0");
    assert_eq!(send(ask).await.status, 503);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_which_an_event_does_not_apply_is_neither_let_in_nor_called_wrong() {
    let rig = Rig::start(1).await;
    let (good, new, revoked) = (new_key(), new_key(), new_key());
    let mut owner = Owner::claim(&rig.log, 0).await;
    // No release can read these two.
    let unreadable = json!("not an object");
    let issue = Event { data: unreadable.clone(), ..issued(&new, &["operator"]) };
    let revocation = issued(&revoked, &["operator"]);
    let revocation = Event { revision: 2, kind: "revoked", data: unreadable, ..revocation };
    owner.commit(&[issue]);
    owner.commit(&[issued(&revoked, &["operator"])]);
    owner.commit(&[revocation]);
    owner.commit(&[issued(&good, &["operator"])]);
    let projector = rig.projector();
    known(&projector, &good).await;
    assert_eq!(status(&projector, &new).await, (503, "stale".to_owned()));
    assert_eq!(status(&projector, &revoked).await, (503, "stale".to_owned()));
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stranger_takes_all_places_at_the_operators_door() {
    let rig = Rig::start(1).await;
    let (operator, stranger) = (new_key(), new_key());
    let mut owner = Owner::claim(&rig.log, 0).await;
    let end = owner.commit(&[issued(&operator, &["operator"])]);
    let projector = rig.projector();
    known(&projector, &operator).await;
    let log = log_id(&rig).await;
    let at = |offset| Position::of(ShardId::new(0), log, offset);
    let far = at(end + 1_000);
    let ask = || ask_at(&projector, 1, stranger.expose(), &far);
    let mut flood: FuturesUnordered<_> = (0..80).map(|_| ask()).collect();
    // What comes beyond its share is not waited for.
    assert_eq!(flood.next().await, Some((503, "stale".to_owned())));
    let honest = async {
        let next = at(end + 1);
        let (told, _) = tokio::join!(ask_at(&projector, 2, operator.expose(), &next), async {
            owner.commit(&[received("A", 1, 7)])
        });
        assert_eq!(told.0, 200, "{}", told.1);
    };
    tokio::select! {
        () = honest => {}
        () = async { while flood.next().await.is_some() {} std::future::pending().await } => {}
    }
    drop(flood);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_door_knows_which_positions_cannot_be() {
    let rig = Rig::start(1).await;
    let operator = new_key();
    let end = Owner::claim(&rig.log, 0).await.commit(&[issued(&operator, &["operator"])]);
    let projector = rig.projector();
    known(&projector, &operator).await;
    let log = log_id(&rig).await;
    let other = Nonce(log.0 ^ 1);
    for key in [operator.expose(), OPERATOR_KEY] {
        for (shard, log, offset, code) in [
            (0, log, i64::MAX, "invalid_position"),
            (1, log, 1, "invalid_position"),
            (0, other, 1, "unknown_log"),
        ] {
            let at = Position::of(ShardId::new(shard), log, offset);
            assert_eq!(ask_at(&projector, 1, key, &at).await, (400, code.to_owned()));
        }
        let at = Position::of(ShardId::new(0), log, end);
        assert_eq!(ask_at(&projector, 1, key, &at).await.0, 200);
    }
    // Who may not come in learns nothing of positions.
    let at = Position::of(ShardId::new(1), log, 1);
    assert_eq!(ask_at(&projector, 1, "nonsense", &at).await, (401, "invalid_key".to_owned()));
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_issued_a_moment_ago_is_waited_for_without_its_position() {
    let rig = Rig::start(1).await;
    let (first, second) = (new_key(), new_key());
    let mut owner = Owner::claim(&rig.log, 0).await;
    owner.commit(&[issued(&first, &["operator"])]);
    let projector = rig.projector();
    known(&projector, &first).await;
    let nowhere = Position::default();
    // Nor is any key called wrong before all is applied that came before the question.
    let asked_at = now(&rig).await;
    let told = ask_at(&projector, 1, new_key().expose(), &nowhere).await;
    assert_eq!(told, (401, "invalid_key".to_owned()));
    let sql = "SELECT level_at FROM read.positions WHERE projection = 'api_keys'";
    let level: Option<DateTime<Utc>> =
        sqlx::query_scalar(sql).fetch_one(&rig.pool).await.expect("a position");
    assert!(level >= Some(asked_at), "{level:?} < {asked_at}");
    let (told, _) = tokio::join!(ask_at(&projector, 1, second.expose(), &nowhere), async {
        owner.commit(&[issued(&second, &["operator"])])
    });
    assert_eq!(told.0, 200, "{}", told.1);
    projector.end(rig).await;
}
