use async_trait::async_trait;
use domain::{
    money::{Currency, Money},
    timestamp::Timestamp,
};
use futures_util::future::join_all;
use uuid::Uuid;

use super::{super::breaker::FAILURES_MAX, *};

/// Does what the method token says.
struct Moody;

#[async_trait]
impl PaymentProvider for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    async fn authorise(&self, request: &Authorisation) -> Result<Decision, ProviderUnavailable> {
        match request.method_token.as_str() {
            "hang" => std::future::pending().await,
            "slow" => tokio::time::sleep(2 * SLOW_AFTER).await,
            "broken" => return Err(ProviderUnavailable("connection refused".into())),
            _ => {}
        }
        Ok(Decision::Authorised { reference: "r".to_owned() })
    }

    async fn void(&self, _: PaymentId) -> Result<(), ProviderUnavailable> {
        Ok(())
    }
}

fn desk(calls_max: usize) -> Desk {
    Desk::new(Arc::new(Moody), calls_max)
}

async fn ask(desk: &Desk, method_token: &str) -> Result<(), &'static str> {
    let request = Authorisation {
        payment_id: PaymentId::new(Uuid::nil()),
        amount: Money::new(500, Currency::USD),
        method_token: method_token.to_owned(),
        expires_at: Timestamp::default(),
    };
    desk.authorise(&request).await.map(drop).map_err(|failed| failed.label())
}

async fn ask_many(desk: &Desk, method_token: &str, count: usize) -> Vec<Result<(), &'static str>> {
    join_all((0..count).map(|_| ask(desk, method_token))).await
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends() {
    let began = Instant::now();
    assert_eq!(ask(&desk(1), "hang").await, Err("timed_out"));
    assert_eq!(began.elapsed(), CALL_WAIT_MAX);
    assert_eq!(ask(&desk(1), "slow").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_are_in_the_way_of_one_another_and_of_nobody_else() {
    let desk = desk(8);
    let honest = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let began = Instant::now();
        assert_eq!(ask(&desk, "quick").await, Ok(()));
        assert!(began.elapsed() <= 2 * SLOW_AFTER, "{:?}", began.elapsed());
    };
    let (hanging, ()) = tokio::join!(ask_many(&desk, "hang", 16), honest);
    let timed_out = hanging.iter().filter(|it| **it == Err("timed_out")).count();
    let crowded = hanging.iter().filter(|it| **it == Err("crowded")).count();
    assert_eq!((timed_out, crowded), (8, 8));
}

#[tokio::test(start_paused = true)]
async fn payments_that_hang_do_not_stop_the_calls_of_others() {
    let desk = desk(2_000);
    assert!(ask_many(&desk, "hang", 1_400).await.iter().all(|it| *it == Err("timed_out")));
    assert_eq!(ask(&desk, "quick").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_left_alone_and_then_tried() {
    let desk = desk(8);
    for _ in 0..FAILURES_MAX {
        assert_eq!(ask(&desk, "broken").await, Err("failed"));
    }
    assert_eq!(ask(&desk, "quick").await, Err("paused"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(ask(&desk, "quick").await, Ok(()));
    assert_eq!(ask(&desk, "quick").await, Ok(()));
}
