//! The command API: commands over HTTP, decided against aggregates and appended to the event log,
//! and the process managers that go on from there.
//!
//! Two halves with separate ends: the front takes requests, the rear decides and follows the log.
//! A shutdown gives the shards to other nodes, then drains the front, so that whoever was let in
//! still gets an answer.

pub mod engine;
pub mod http;
mod metrics;
pub mod payment;
pub mod process;
mod rear;
pub mod reshard;
mod settings;
pub mod steps;
#[cfg(test)]
mod testing;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::{FutureExt, future::BoxFuture};
use infra::{
    clock::Clock,
    http::{
        health::Readiness,
        server::{App, Server},
    },
    membership::seal::{Gate, PeerKey},
    shutdown::Shutdown,
    task,
};

use http::{AppState, EngineSlot, Ingredients};
use payment::{Desk, Sandbox};
use rear::Rear;

pub use settings::{ReshardSettings, Settings};

/// How long other nodes may take to claim what this one served.
const HAND_OVER_WAIT_MAX: Duration = Duration::from_secs(10);

/// The service, bound to its ports.
pub struct Service {
    server: Server,
    app: App,
    rear: Rear,
    readiness: Readiness,
}

impl Service {
    /// Takes the ports; nothing else has to be there yet.
    ///
    /// # Errors
    /// A port cannot be had.
    pub fn bind(settings: Settings) -> anyhow::Result<Self> {
        let Settings { http, kafka, auth, node, meeting, store, snapshots, .. } = settings;
        let Settings { sandbox_webhook_secret, payment_calls_max, open_checkouts_max, .. } =
            settings;
        let server = Server::bind(&http)?;
        let (clock, readiness) = (Clock::System, Readiness::new());
        let engine = EngineSlot::default();
        let desk = Desk::new(Arc::new(Sandbox::new(clock.clone())), payment_calls_max);
        let state = AppState::new(Ingredients {
            engine: engine.clone(),
            clock: clock.clone(),
            auth,
            desk: desk.clone(),
            webhook_secret: sandbox_webhook_secret,
            gate: meeting
                .as_ref()
                .map(|meeting| Gate::new(PeerKey::new(&meeting.secret), &node.name, clock.clone())),
            open_checkouts_max,
        });
        let rear = Rear {
            kafka,
            node,
            meeting,
            draining: Shutdown::new(),
            store,
            snapshots,
            requests_max: http.requests_max,
            clock,
            engine,
            desk,
            reachable: readiness.condition("kafka"),
            served: readiness.condition("shards"),
        };
        let app = http::app(&state, readiness.clone(), (&http).into());
        Ok(Self { server, app, rear, readiness })
    }

    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves until the shutdown is requested and all is drained: first the shards go to other
    /// nodes, to which requests are taken meanwhile, then the front, then the rear.
    ///
    /// # Errors
    /// A part ended that must not, or did not end in time.
    pub fn run(self, shutdown: Shutdown) -> BoxFuture<'static, anyhow::Result<()>> {
        async move {
            let (front_end, rear_end) = (Shutdown::new(), Shutdown::new());
            let (readiness, draining) = (self.readiness, self.rear.draining.clone());
            let engine = self.rear.engine.clone();
            let hand_over = async {
                shutdown.requested().await;
                readiness.drain();
                draining.request();
                if tokio::time::timeout(HAND_OVER_WAIT_MAX, engine.handed_over()).await.is_err() {
                    tracing::warn!("no other node has taken over in time");
                }
                front_end.request();
                std::future::pending::<()>().await;
            };
            let front = self.server.serve(self.app, front_end.clone());
            let mut front = std::pin::pin!(front);
            let mut rear = task::spawn("rear", self.rear.run(rear_end.clone()));
            tokio::select! {
                () = hand_over => Ok(()),
                served = &mut front => {
                    rear_end.request();
                    rear.await??;
                    Ok(served?)
                }
                ended = &mut rear => {
                    front_end.request();
                    front.await?;
                    ended?.context("the engine stopped")?;
                    anyhow::bail!("the engine ended although nobody asked it to")
                }
            }
        }
        .boxed()
    }
}
