//! Open connections: accepted up to a limit, counted, and drained in the end.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tower::Service;

use crate::{
    http::events::{AcceptFailed, Draining},
    shutdown::Shutdown,
    telemetry::emit,
};

/// A client that has not sent a whole head by then is cut off, so that slow ones cannot hold
/// connections for ever. It bounds an idle kept-alive connection, too.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(30);
/// A pause after a failure to accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Connections {
    router: Router,
    slots: Arc<Semaphore>,
    open: JoinSet<()>,
    closing: Shutdown,
}

/// The drain's time was up.
#[derive(Debug, thiserror::Error)]
#[error("{connections} connections were still busy after draining for {waited:?}")]
pub struct StillOpen {
    connections: usize,
    waited: Duration,
}

impl Connections {
    pub(super) fn new(router: Router, connections_max: usize) -> Self {
        let slots = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self { router, slots, open: JoinSet::new(), closing: Shutdown::new() }
    }

    /// Accepts for ever. Safe to drop at any await.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        // The semaphore is never closed.
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => self.open(stream, peer, slot),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    emit(AcceptFailed { error });
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            // Forgets those that are done, so that the set does not grow with time.
            while self.open.try_join_next().is_some() {}
        }
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let (router, closing) = (self.router.clone(), self.closing.clone());
        self.open.spawn(async move {
            serve(stream, peer, router, closing).await;
            drop(slot);
        });
    }

    /// Lets each connection finish the request that it is at.
    pub(super) async fn drain(mut self, wait_max: Duration) -> Result<(), StillOpen> {
        while self.open.try_join_next().is_some() {}
        emit(Draining { connections: self.open.len(), wait_max });
        self.closing.request();
        let all = async { while self.open.join_next().await.is_some() {} };
        let drained = timeout(wait_max, all).await;
        drained.map_err(|_elapsed| StillOpen { connections: self.open.len(), waited: wait_max })
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, closing: Shutdown) {
    // Answers are written whole, so waiting for more to send only delays them. A failure means
    // that the client is gone, which the connection will find out by itself.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request| call(router.clone(), peer, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    // A broken connection is the client's affair; every answer was counted where it was made.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = closing.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await.ok();
        }
    }
}

async fn call(
    mut router: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    router.call(request).await
}

/// The client left before it was accepted: nothing is wrong with the listener.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
