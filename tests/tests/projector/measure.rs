use crate::{
    history::{Owner, confirmed, placed, stock_reserved},
    rig::Rig,
};
use infra::log::EventLog;
use tokio::time::Instant;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn measure() {
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let shards = 2;
    let rig = Rig::start(shards).await;
    for shard in 0..shards {
        let mut owner = Owner::claim(&rig.log, shard);
        let ids: Vec<_> = (0..n).map(|_| Uuid::now_v7()).collect();
        for chunk in ids.chunks(20) {
            for id in chunk {
                owner.commit(&[placed(*id)]);
            }
            for id in chunk {
                owner.commit(&[stock_reserved(*id)]);
            }
            for id in chunk {
                owner.commit(&[confirmed(*id)]);
            }
        }
    }
    let started = Instant::now();
    let projector = rig.projector();
    rig.applied().await;
    let took = started.elapsed();
    let events = 3 * n * shards as usize;
    println!("{events} events in {took:?}: {:.0}/s", events as f64 / took.as_secs_f64());
    let metrics =
        reqwest::get(format!("{}/metrics", projector.url)).await.unwrap().text().await.unwrap();
    for line in metrics
        .lines()
        .filter(|l| l.contains("projector_batch") && (l.contains("_sum") || l.contains("_count")))
    {
        println!("{line}");
    }
    projector.stop().await;
    // Lone commits
    let projector = rig.projector();
    rig.applied_to(0, 0).await;
    let mut owner_log_end = rig.log.range(domain::shard::ShardId::new(0)).await.unwrap().end;
    let mut owner = Owner::claim(&rig.log, 0);
    let _ = &mut owner_log_end;
    let mut lat = vec![];
    owner.skip(3 * n as u64);
    for _ in 0..300 {
        let id = Uuid::now_v7();
        let at = Instant::now();
        owner.commit(&[placed(id)]);
        loop {
            let there: bool =
                sqlx::query_scalar("SELECT exists(SELECT FROM read.orders WHERE id = $1)")
                    .bind(id)
                    .fetch_one(&rig.pool)
                    .await
                    .unwrap();
            if there {
                break;
            }
        }
        lat.push(at.elapsed());
    }
    lat.sort();
    println!("visible p50 {:?} p99 {:?}", lat[150], lat[296]);
    projector.stop().await;
    rig.end().await;
}
