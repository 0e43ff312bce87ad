//! Reads of the journal where there is none.

use stack::eventually::eventually;

use crate::rig::{Rig, WAIT_MAX};

#[tokio::test(flavor = "multi_thread")]
async fn where_no_journal_is_kept_what_needs_it_says_so() {
    let rig = Rig::start().await;
    rig.sql("UPDATE projection.versions SET state = 'dropped' WHERE projection = 'journal'").await;
    rig.stock("A", 1, 0).await;
    rig.apply("stock", 0, 5).await;
    let operator = rig.operator();
    eventually("it to be known that there is no journal", WAIT_MAX, || async {
        let answer = operator.get("/v1/streams?type=stock").await;
        if answer.body["code"] == "journal_off" { Ok(()) } else { Err(answer.body) }
    })
    .await;
    for path in ["/v1/streams/stock/A/events", "/v1/stock/A?as_of=now-1d", "/v1/streams?type=stock"]
    {
        operator.get(path).await.expect_problem(503, "journal_off");
    }
    operator.get("/v1/stock/A").await.expect(200);
    rig.end().await;
}
