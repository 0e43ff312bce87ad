//! Whole checkouts over a log in memory.

mod rig;
mod skipped;
mod taken_up;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use domain::{
    id::PaymentId,
    order::{Order, Status},
    payment::{self, Payment},
};
use futures_util::future::join_all;
use infra::log::memory::MemoryLog;

use crate::{
    payment::{Authorisation, Decision, PaymentProvider, ProviderUnavailable, Sandbox},
    testing::{World, eventually, moving_clock},
};

#[tokio::test]
async fn a_checkout_that_is_paid_is_confirmed_and_takes_its_stock() {
    let world = World::start();
    world.product("tea", 5).await;
    let order_id = world.buy("tea", 2, "tok_ok").await;
    let order = world.settled(order_id).await;
    assert_eq!(order.status, Status::Confirmed);
    let stock = world.stock("tea").await;
    assert_eq!((stock.on_hand(), stock.available()), (3, 3));
}

#[tokio::test]
async fn a_declined_payment_rejects_the_order_and_releases_its_stock() {
    let world = World::start();
    world.product("tea", 5).await;
    for token in ["tok_declined", "tok_insufficient_funds", "tok_made_up"] {
        let order_id = world.buy("tea", 2, token).await;
        assert_eq!(world.settled(order_id).await.status, Status::Rejected, "{token}");
    }
    eventually("stock released", || async {
        let stock = world.stock("tea").await;
        (stock.on_hand() == 5 && stock.available() == 5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_checkout_beyond_the_stock_is_rejected_before_it_is_paid() {
    let world = World::start();
    world.product("tea", 1).await;
    let order_id = world.buy("tea", 2, "tok_ok").await;
    assert_eq!(world.settled(order_id).await.status, Status::Rejected);
    let payment_id = PaymentId::new(order_id.derive("payment"));
    let payment = world.read::<Payment>(&payment_id).await;
    assert_eq!(payment.request, None);
    assert_eq!(world.stock("tea").await.available(), 1);
}

#[tokio::test]
async fn a_hundred_checkouts_of_the_last_ten_units_confirm_exactly_ten() {
    let world = World::start();
    world.product("tea", 10).await;
    let orders = join_all((0..100).map(|_| world.buy("tea", 1, "tok_ok"))).await;
    let settled = join_all(orders.into_iter().map(|id| world.settled(id))).await;
    let confirmed = settled.iter().filter(|order| order.status == Status::Confirmed).count();
    assert_eq!(confirmed, 10);
    let stock = world.stock("tea").await;
    assert_eq!((stock.on_hand(), stock.available()), (0, 0));
}

/// A sandbox that notes what is given back.
struct Noting {
    sandbox: Sandbox,
    voided: Mutex<Vec<PaymentId>>,
}

#[async_trait]
impl PaymentProvider for Noting {
    fn name(&self) -> &'static str {
        self.sandbox.name()
    }

    async fn authorise(&self, request: &Authorisation) -> Result<Decision, ProviderUnavailable> {
        self.sandbox.authorise(request).await
    }

    async fn void(&self, payment_id: PaymentId) -> Result<(), ProviderUnavailable> {
        self.voided.lock().unwrap().push(payment_id);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_yes_after_the_deadline_is_given_back() {
    let (manual, _time) = moving_clock();
    let sandbox = Sandbox::new(manual.clone().into());
    let provider = Arc::new(Noting { sandbox, voided: Mutex::default() });
    let log = Arc::new(MemoryLog::new(4));
    let world = World::with_provider(log, manual.into(), provider.clone());
    world.product("tea", 1).await;
    let order_id = world.buy("tea", 1, "tok_timeout").await;
    let payment_id = PaymentId::new(order_id.derive("payment"));
    assert_eq!(world.settled(order_id).await.status, Status::Rejected);
    eventually("late yes given back", || async {
        let voided = provider.voided.lock().unwrap();
        voided.contains(&payment_id).then_some(())
    })
    .await;
    let payment = world.read::<Payment>(&payment_id).await;
    assert_eq!(payment.status, payment::Status::Expired);
}

#[tokio::test(start_paused = true)]
async fn payments_that_hang_delay_no_other_order() {
    const HANGING: usize = 1_400;
    let (manual, _time) = moving_clock();
    let world = World::over(Arc::new(MemoryLog::new(4)), manual.into());
    world.product("tea", 2_000).await;
    let mut hanging = Vec::new();
    while hanging.len() < HANGING {
        hanging.extend(join_all((0..100).map(|_| world.buy("tea", 1, "tok_timeout"))).await);
    }
    let honest = world.buy("tea", 1, "tok_ok").await;
    assert_eq!(world.settled(honest).await.status, Status::Confirmed);
    for order_id in hanging {
        let order = world.read::<Order>(&order_id).await;
        assert_eq!(order.status, Status::Pending);
    }
}

/// Answers from its `n`th call on, and counts.
struct Late {
    answers_from: usize,
    calls: AtomicUsize,
}

#[async_trait]
impl PaymentProvider for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    async fn authorise(&self, _: &Authorisation) -> Result<Decision, ProviderUnavailable> {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 < self.answers_from {
            std::future::pending().await
        }
        Ok(Decision::Authorised { reference: "r".to_owned() })
    }

    async fn void(&self, _: PaymentId) -> Result<(), ProviderUnavailable> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_asked_again_by_the_payment_itself() {
    for (answers_from, status, calls) in
        [(1, Status::Confirmed, 1), (3, Status::Confirmed, 3), (4, Status::Rejected, 3)]
    {
        let (manual, _time) = moving_clock();
        let provider = Arc::new(Late { answers_from, calls: AtomicUsize::new(0) });
        let log = Arc::new(MemoryLog::new(4));
        let world = World::with_provider(log, manual.into(), provider.clone());
        world.product("tea", 1).await;
        let order_id = world.buy("tea", 1, "tok_ok").await;
        assert_eq!(world.settled(order_id).await.status, status, "{answers_from}");
        assert_eq!(provider.calls.load(Ordering::SeqCst), calls, "{answers_from}");
    }
}
