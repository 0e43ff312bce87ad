//! What another node's answer means over HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, middleware::from_fn_with_state, routing::post};
use domain::{capability::Capabilities, shard::ShardId};
use futures_util::future::join_all;
use infra::{
    clock::Clock,
    log::{EventLog, Nonce, memory::MemoryLog},
    membership::{
        Beat, Heard, Roster,
        seal::{Gate, PeerKey, Sealer},
    },
    task,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    super::{
        Cluster, Engine, Stores, SubmitError,
        forward::{HttpPeers, PeerError, Peers, SUBMIT_PATH},
        testing::node,
    },
    receive,
};
use crate::http::peers::guard;

fn key(secret: &str) -> PeerKey {
    PeerKey::new(&secret.to_owned().into())
}

/// What a command comes to whose owner answers with these statuses, the last one again and again,
/// and how often the owner was asked.
async fn asked(statuses: &'static [StatusCode]) -> (SubmitError, usize) {
    asked_of("the nodes' secret", statuses, None).await
}

/// Of an owner with this secret that knows these commands.
async fn asked_of(
    secret: &str,
    statuses: &'static [StatusCode],
    commands: Option<Capabilities>,
) -> (SubmitError, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = async move || {
        let index = count.fetch_add(1, Ordering::Relaxed);
        statuses[index.min(statuses.len() - 1)]
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let gate = Gate::new(key(secret), "other", Clock::System);
    let guarded = from_fn_with_state(Some(Arc::new(gate)), guard);
    let routes = Router::new().route(SUBMIT_PATH, post(answer)).layer(guarded);
    let _peer = task::spawn("peer", async move { axum::serve(listener, routes).await.unwrap() });

    let mut roster = Roster::default();
    let mut beat = Beat::new(&url, Nonce(1), false);
    beat.commands = commands.map_or(beat.commands, Arc::new);
    roster.hear(Heard { node: "other".to_owned(), beat: Some(beat), at: 0 });
    let (_never_changes, view) = watch::channel(roster.view());
    let sealer = Sealer::new(key("the nodes' secret"), "this", Clock::System);
    let peers = Arc::new(HttpPeers::new(sealer, 64).unwrap());
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let cluster = Cluster { view, peers, standby_replicas: 0 };
    let (engine, _shards) =
        Engine::new(&log, &node("this"), &Clock::System, cluster, &Stores::in_memory());
    let deadline = Instant::now() + Duration::from_secs(2);
    let answer = timeout(Duration::from_secs(5), engine.submit(receive("A", 1), deadline));
    let error = answer.await.expect("an answer at once").unwrap_err();
    (error, asked.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_node_that_refuses_the_request_itself_is_not_asked_again() {
    const REFUSALS: [(&[StatusCode], SubmitError); 5] = [
        (&[StatusCode::BAD_REQUEST], SubmitError::NotTaken),
        (&[StatusCode::NOT_FOUND], SubmitError::NotTaken),
        (&[StatusCode::PAYLOAD_TOO_LARGE], SubmitError::TooLarge),
        (&[StatusCode::UNPROCESSABLE_ENTITY], SubmitError::NotTaken),
        (&[StatusCode::TOO_MANY_REQUESTS], SubmitError::Busy),
    ];
    for (statuses, expected) in REFUSALS {
        assert_eq!(asked(statuses).await, (expected, 1), "{statuses:?}");
    }
}

#[tokio::test]
async fn what_an_earlier_try_may_have_done_is_not_denied_by_a_later_refusal() {
    const STATUSES: &[StatusCode] = &[StatusCode::BAD_GATEWAY, StatusCode::PAYLOAD_TOO_LARGE];
    assert_eq!(asked(STATUSES).await, (SubmitError::Unknown, 2));
}

#[tokio::test]
async fn whoever_does_not_have_the_secret_decides_nothing() {
    // Not even what an impostor says of itself is certain.
    const REFUSAL: &[StatusCode] = &[StatusCode::PAYLOAD_TOO_LARGE];
    assert_eq!(asked_of("another secret", REFUSAL, None).await, (SubmitError::Unknown, 0));
}

#[tokio::test]
async fn a_command_that_its_owner_does_not_know_is_not_sent() {
    let fewer = Capabilities::from(["Stock.Receive".to_owned()]);
    let asked = asked_of("the nodes' secret", &[StatusCode::OK], Some(fewer)).await;
    assert_eq!(asked, (SubmitError::OwnerOutdated, 0));
}

#[tokio::test]
async fn a_node_holds_so_many_connections_to_another_and_no_more() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut roster = Roster::default();
    let beat = Some(Beat::new(&url, Nonce(1), false));
    roster.hear(Heard { node: "other".to_owned(), beat, at: 0 });
    let peer = roster.view().owner(ShardId::new(0)).cloned().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    // It takes what comes, and never answers.
    let _peer = task::spawn("peer", async move {
        let mut held = vec![];
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let sealer = Sealer::new(key("the nodes' secret"), "this", Clock::System);
    let peers = HttpPeers::new(sealer, 2).unwrap();
    let ask = || peers.shards(&peer, Duration::from_millis(200));
    let answers = join_all((0..10).map(|_| ask())).await;
    let is_busy = |it: &&Result<_, _>| matches!(it, Err(PeerError::Refused(SubmitError::Busy)));
    assert_eq!(answers.iter().filter(is_busy).count(), 8, "nothing was sent: {answers:?}");
    assert_eq!(taken.load(Ordering::Relaxed), 2);
}
