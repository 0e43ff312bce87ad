//! Issued keys: believed while their read model is known to be level, and no longer.

use domain::{
    api_key::{ApiKeyId, Role},
    shard::shard_of,
};
use infra::auth::ApiKey;
use stack::eventually::eventually;
use tests::harness::client::Client;
use uuid::Uuid;

use crate::rig::{CART_TOKEN_SECRET, Rig, SHARDS, WAIT_MAX, at, get};

const PATH: &str = "/v1/orders";
const PATIENT: (&str, &str) = ("prefer", "wait=30");

struct Key {
    key: ApiKey,
    shard: u32,
}

impl Key {
    fn new() -> Self {
        let id = ApiKeyId::new(Uuid::now_v7());
        let key = ApiKey::generate(id, &CART_TOKEN_SECRET.into()).expect("random numbers");
        Self { key, shard: shard_of(&id.stream(), SHARDS).index() }
    }

    fn client(&self, rig: &Rig) -> Client {
        rig.with_key(self.key.expose())
    }

    /// The projector applies that it was issued.
    async fn issue(&self, rig: &Rig) {
        rig.key(&self.key, Role::Staff, None, false).await;
    }

    async fn revoke(&self, rig: &Rig) {
        rig.key(&self.key, Role::Staff, None, true).await;
    }

    /// An event of it does not apply in a version of the projection, and waits.
    async fn park(&self, rig: &Rig, version: i32) {
        let (stream, shard, letter) = (self.key.id.stream(), self.shard, Uuid::now_v7());
        rig.sql(format!(
            "INSERT INTO projection.dead_letters (id, projection, version, shard, stream, commit_end,
                place, event_id, event_type, revision, recorded_at, value, state, error)
             VALUES ('{letter}', 'api_keys', {version}, {shard}, '{stream}', 1, 0, '{letter}', 'x', 1,
                now(), '', 'parked', 'it does not apply')"
        ))
        .await;
    }

    /// The event has come to apply.
    async fn settle(&self, rig: &Rig) {
        let stream = self.key.id.stream();
        rig.sql(format!(
            "UPDATE projection.dead_letters SET state = 'retried' WHERE stream = '{stream}'"
        ))
        .await;
    }
}

async fn becomes(client: &Client, what: &str, status: u16) {
    eventually(what, WAIT_MAX, || async {
        let answer = client.get(PATH).await;
        if answer.status == status { Ok(()) } else { Err(answer.body) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_projection_stands_still_no_key_is_right_or_wrong() {
    let rig = Rig::start().await;
    let (key, made_up) = (Key::new(), rig.with_key(&format!("tw_{:032x}_{}", 7, "x".repeat(43))));
    key.issue(&rig).await;
    rig.stay_level().await;
    key.client(&rig).get(PATH).await.expect(200);
    made_up.get(PATH).await.expect_problem(401, "invalid_key");
    // Nobody looks at the log any more. Whether the key has been revoked since, nobody here can know.
    rig.level().await;
    becomes(&key.client(&rig), "a key to be known no more", 503).await;
    let stale = key.client(&rig).get(PATH).await.expect_problem(503, "stale");
    assert_eq!(stale.header("retry-after"), "1");
    let other = Key::new().client(&rig);
    other.get("/v1/stock/A").await.expect_problem(503, "stale");
    rig.operator().get(PATH).await.expect(200);
    rig.anon().get("/v1/stock/A").await.expect_problem(404, "not_found");
    key.revoke(&rig).await;
    rig.stay_level().await;
    becomes(&key.client(&rig), "the key to be known as revoked", 401).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_works_with_the_position_of_its_issue_and_a_revoked_one_does_not() {
    let rig = Rig::start().await;
    rig.stay_level().await;
    let key = Key::new();
    rig.apply("api_keys", key.shard, 5).await;
    rig.apply("orders", key.shard, 99).await;
    let client = key.client(&rig);
    let (issued, revoked) = (at(key.shard, 8), at(key.shard, 9));
    get(&client, PATH, &[("tradewind-position", &issued), ("prefer", "wait=0")])
        .await
        .expect_problem(503, "stale");
    let headers = [("tradewind-position", &*issued), PATIENT];
    let (answer, ()) = tokio::join!(get(&client, PATH, &headers), async {
        rig.apply("api_keys", key.shard, 7).await;
        key.issue(&rig).await;
        rig.apply("api_keys", key.shard, 8).await;
    });
    answer.expect(200);
    // It is remembered as valid, which counts for nothing where the revocation has been seen.
    client.get(PATH).await.expect(200);
    let headers = [("tradewind-position", &*revoked), PATIENT];
    let (answer, ()) = tokio::join!(get(&client, PATH, &headers), async {
        key.revoke(&rig).await;
        rig.apply("api_keys", key.shard, 9).await;
    });
    answer.expect_problem(401, "invalid_key");
    client.get(PATH).await.expect_problem(401, "invalid_key");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_issued_a_moment_ago_is_waited_for_and_a_made_up_one_is_not() {
    let rig = Rig::start().await;
    rig.stay_level().await;
    rig.level().await;
    let key = Key::new();
    let client = key.client(&rig);
    let (answer, ()) = tokio::join!(get(&client, PATH, &[PATIENT]), async {
        key.issue(&rig).await;
        rig.stay_level().await;
    });
    answer.expect(200);
    // Signed, but never issued: that is known once all that came before the question is applied.
    get(&Key::new().client(&rig), PATH, &[PATIENT]).await.expect_problem(401, "invalid_key");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_which_an_event_is_parked_is_neither_right_nor_wrong() {
    let rig = Rig::start().await;
    rig.stay_level().await;
    let (issued, revoked, elsewhere) = (Key::new(), Key::new(), Key::new());
    issued.park(&rig, 1).await;
    issued.client(&rig).get(PATH).await.expect_problem(503, "stale");
    revoked.issue(&rig).await;
    revoked.client(&rig).get(PATH).await.expect(200);
    revoked.park(&rig, 1).await;
    becomes(&revoked.client(&rig), "a parked revocation to be noticed", 503).await;
    // It concerns nobody else, nor does what waits in a version that nobody reads.
    elsewhere.issue(&rig).await;
    elsewhere.park(&rig, 2).await;
    elsewhere.client(&rig).get(PATH).await.expect(200);
    issued.issue(&rig).await;
    issued.settle(&rig).await;
    issued.client(&rig).get(PATH).await.expect(200);
    revoked.revoke(&rig).await;
    revoked.settle(&rig).await;
    becomes(&revoked.client(&rig), "the revocation to be applied", 401).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_positions_take_no_place_from_anybody() {
    let rig = Rig::start().await;
    rig.stay_level().await;
    rig.stock("A", 1, 0).await;
    rig.apply("stock", 0, 5).await;
    let ask = async |shard: u32, offset: i64| {
        let at = at(shard, offset);
        get(&rig.anon(), "/v1/stock/A", &[("tradewind-position", &at), PATIENT]).await
    };
    ask(0, 5).await.expect(200);
    for (shard, offset) in [(0, i64::MAX), (0, 1 << 40), (SHARDS, 1), (u32::MAX, 0)] {
        ask(shard, offset).await.expect_problem(400, "invalid_position");
    }
    rig.end().await;
}
