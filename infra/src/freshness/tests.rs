use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use domain::shard::ShardId;

use super::*;
use crate::{log::Nonce, task};

const ORDERS: &[Projection] = &[Projection("orders")];
const PATIENCE: Duration = Duration::from_secs(2);
const CLIENT: Client = Client::Unknown;

fn at(offset: i64) -> AtLeast {
    AtLeast(Position::of(ShardId::new(0), Nonce(7), offset))
}

fn applied_up_to(offset: i64) -> Applied {
    let row = PositionRow::sample(ORDERS[0], 0, Some(Nonce(7)), offset);
    Applied::replace(ORDERS, &[row], Instant::now())
}

async fn reach(freshness: Freshness, wanted: AtLeast, client: Client) -> Result<Position, Problem> {
    freshness.reach(ORDERS, &wanted, Instant::now() + PATIENCE, client).await
}

#[tokio::test(start_paused = true)]
async fn what_is_applied_needs_no_wait() {
    let (_sender, applied) = watch::channel(applied_up_to(5));
    let started = Instant::now();
    let position = reach(Freshness::new(applied), at(5), CLIENT).await.unwrap();
    assert_eq!(position, at(5).0);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_position_is_applied() {
    let (sender, applied) = watch::channel(applied_up_to(5));
    let waiting = task::spawn("reader", reach(Freshness::new(applied), at(7), CLIENT));
    for offset in [6, 7] {
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        sender.send_replace(applied_up_to(offset));
    }
    assert_eq!(waiting.await.unwrap().unwrap(), at(7).0);
}

#[tokio::test(start_paused = true)]
async fn an_impatient_wait_is_stale_and_tells_where_it_stands() {
    let (_sender, applied) = watch::channel(applied_up_to(5));
    let started = Instant::now();
    let problem = reach(Freshness::new(applied), at(7), CLIENT).await.unwrap_err();
    assert_eq!(started.elapsed(), PATIENCE);
    assert_eq!((problem.status().as_u16(), problem.code()), (503, "stale"));
    let answer = axum::response::IntoResponse::into_response(problem);
    assert_eq!(answer.headers()[POSITION], at(5).0.to_string());
    assert_eq!(answer.headers()["retry-after"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_turns_out_to_be_another_ends_the_wait() {
    let (sender, applied) = watch::channel(Applied::default());
    let wanted = AtLeast(Position::of(ShardId::new(0), Nonce(8), 1));
    let waiting = task::spawn("reader", reach(Freshness::new(applied), wanted, CLIENT));
    tokio::task::yield_now().await;
    sender.send_replace(applied_up_to(1));
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), "unknown_log");
}

#[tokio::test(start_paused = true)]
async fn more_waits_of_a_client_than_its_share_are_stale_at_once_and_others_wait_on() {
    let (sender, applied) = watch::channel(applied_up_to(5));
    let freshness = Freshness::new(applied);
    let _permits: Vec<_> = (0..64).map(|_| freshness.permits.take(CLIENT).unwrap()).collect();
    let started = Instant::now();
    let problem = reach(freshness.clone(), at(7), CLIENT).await.unwrap_err();
    assert_eq!((problem.code(), started.elapsed()), ("stale", Duration::ZERO));
    let other = client(1);
    let waiting = task::spawn("reader", reach(freshness, at(7), other));
    tokio::task::yield_now().await;
    sender.send_replace(applied_up_to(7));
    assert_eq!(waiting.await.unwrap().unwrap(), at(7).0);
}

fn client(number: usize) -> Client {
    let address = Ipv4Addr::from(u32::try_from(number).unwrap());
    Client::Network(IpAddr::from(address).into())
}

#[test]
fn a_flood_from_one_client_leaves_permits_to_the_others() {
    let permits = WaitPermits::default();
    let flood: Vec<_> = (0..PERMITS_MAX).filter_map(|_| permits.take(client(0))).collect();
    assert_eq!(flood.len(), PERMITS_OF_CLIENT_MAX);
    let others: Vec<_> = (1..=200).map(|number| permits.take(client(number))).collect();
    assert!(others.iter().all(Option::is_some));
    drop(flood);
    assert!(permits.take(client(0)).is_some(), "those that have gone made room");
}

#[test]
fn all_clients_together_have_a_limit_too() {
    let permits = WaitPermits::default();
    let taken: Vec<_> =
        (0..PERMITS_MAX).filter_map(|number| permits.take(client(number % 100))).collect();
    assert_eq!(taken.len(), PERMITS_MAX);
    assert!(permits.take(client(100)).is_none());
    drop(taken);
    assert!(permits.take(client(100)).is_some());
}
