//! Open connections: accepted up to a limit, counted, and drained in the end.
//!
//! **Invariant:** no client holds a connection by doing nothing, and none holds more than its share.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Request, Version, header},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tracing::{info, warn};

use super::{
    front::Front,
    slots::{Slot, Slots},
    steady::{Bodies, SteadyStream},
    worded::{HEAD_BYTES_MAX, URI_BYTES_MAX, Worded, written},
};
use crate::{
    config, descriptors,
    http::{
        client::{Network, Proxies},
        edge::refusal,
        events::ConnectionCut,
        headers::check_single,
        health,
        problem::Problem,
    },
    shares::{Share, Shares},
    shutdown::Shutdown,
    telemetry::emit,
};

/// The kernel gives up a client that takes nothing for so long, whatever else it does: longer than a
/// client may send without taking answers, as one does that reads when all of its batch is sent.
const UNTAKEN_WAIT_MAX: Duration = Duration::from_mins(11);

/// A client has a quarter of all connections, one on the same machine half of them, unless the settings
/// say otherwise.
const SHARE: usize = 4;
const SHARE_OF_LOCAL: usize = 2;
/// Connections beyond the limit of the listener for operations that are served all the same, for one
/// question after health each.
const BRIEF_MAX: usize = 8;
/// How long such a connection may take over anything.
const BRIEF_WAIT_MAX: Duration = Duration::from_secs(1);
/// A pause after a failure to accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections may cost.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    connections_max: usize,
    /// Served briefly when those are taken.
    brief_max: usize,
    per_address_max: usize,
    per_local_address_max: usize,
    client_wait_max: Duration,
    /// Not bound to a client's share: many clients come through them.
    proxies: Proxies,
}

impl Bounds {
    pub(super) fn of_clients(settings: &config::Http) -> Self {
        let connections_max = settings.connections_max.min(descriptors::for_clients());
        let per_address_max = settings.connections_per_address_max;
        let share = |part| per_address_max.unwrap_or(connections_max / part).max(1);
        Self {
            connections_max,
            brief_max: 0,
            per_address_max: share(SHARE),
            per_local_address_max: share(SHARE_OF_LOCAL),
            client_wait_max: settings.client_wait_max,
            proxies: settings.trusted_proxies.clone(),
        }
    }

    /// As many as requests are let in: nodes send each other what clients ask of them. Whoever asks
    /// after health is answered although they hold all of them.
    pub(super) fn of_ops(settings: &config::Http) -> Self {
        let connections_max = descriptors::for_ops(settings.requests_max);
        Self {
            connections_max,
            brief_max: BRIEF_MAX,
            per_address_max: usize::MAX,
            per_local_address_max: usize::MAX,
            ..Self::of_clients(settings)
        }
    }

    fn share(&self, shares: &Shares<Network>, peer: IpAddr) -> Result<Option<Share<Network>>, ()> {
        if self.proxies.trust(peer) {
            return Ok(None);
        }
        shares.take(peer.into(), self.share_of(peer)).map(Some).ok_or(())
    }

    fn share_of(&self, address: IpAddr) -> usize {
        let is_local = address.to_canonical().is_loopback();
        if is_local { self.per_local_address_max } else { self.per_address_max }
    }
}

pub(super) struct Connections {
    front: Front,
    bounds: Arc<Bounds>,
    shares: Shares<Network>,
    slots: Slots,
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
    pub(super) fn new(front: Front, bounds: Bounds) -> Self {
        Self {
            front,
            shares: Shares::default(),
            slots: Slots::new(bounds.connections_max, bounds.brief_max),
            bounds: Arc::new(bounds),
            open: JoinSet::new(),
            closing: Shutdown::new(),
        }
    }

    /// Accepts for ever. Safe to drop at any await.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        while let Some(slot) = self.slots.next().await {
            match listener.accept().await {
                Ok((stream, peer)) => self.open(stream, peer, self.slots.better(slot)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            // Forgets those that are done, so that the set does not grow with time.
            while self.open.try_join_next().is_some() {}
        }
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr, slot: Slot) {
        let share = match self.bounds.share(&self.shares, peer.ip()) {
            Ok(share) => share,
            Err(()) => return refuse(&stream),
        };
        let (front, bounds) = (self.front.clone(), Arc::clone(&self.bounds));
        let context = ConnectionContext { front, peer, bounds, is_brief: slot.is_brief };
        let closing = self.closing.clone();
        self.open.spawn(async move {
            serve(stream, context, closing).await;
            drop((slot, share));
        });
    }

    /// Lets each connection finish the request that it is at.
    pub(super) async fn drain(mut self, wait_max: Duration) -> Result<(), StillOpen> {
        while self.open.try_join_next().is_some() {}
        let connections = self.open.len();
        info!(connections, "draining {connections} connections for {wait_max:?} at most");
        self.closing.request();
        let all = async { while self.open.join_next().await.is_some() {} };
        let drained = timeout(wait_max, all).await;
        drained.map_err(|_elapsed| StillOpen { connections: self.open.len(), waited: wait_max })
    }
}

/// Says why and hangs up. Nobody waits for a client that does not want to hear it.
fn refuse(stream: &TcpStream) {
    emit(ConnectionCut { reason: "share" });
    stream.try_write(&written(&Problem::too_many_connections())).ok();
}

/// What all requests of a connection have in common.
#[derive(Clone)]
struct ConnectionContext {
    front: Front,
    peer: SocketAddr,
    bounds: Arc<Bounds>,
    is_brief: bool,
}

async fn serve(stream: TcpStream, context: ConnectionContext, closing: Shutdown) {
    let is_brief = context.is_brief;
    let wait_max = context.bounds.client_wait_max;
    let wait_max = if is_brief { wait_max.min(BRIEF_WAIT_MAX) } else { wait_max };
    // Answers are written whole, so waiting for more to send only delays them. A failure means
    // that the client is gone, which the connection will find out by itself.
    stream.set_nodelay(true).ok();
    SockRef::from(&stream).set_tcp_user_timeout(Some(UNTAKEN_WAIT_MAX.max(wait_max))).ok();
    let (stream, bodies) = SteadyStream::new(stream, wait_max);
    let service = service_fn(move |request| call(context.clone(), bodies.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(!is_brief)
        .header_read_timeout(wait_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Worded::new(stream)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // A broken connection is the client's affair; every answer was counted where it was made.
    if let Err(error) = ended
        && let Some(reason) = why_cut(&error)
    {
        emit(ConnectionCut { reason });
    }
}

/// Why this side ended the connection, if it did.
fn why_cut(error: &hyper::Error) -> Option<&'static str> {
    if error.is_timeout() {
        return Some("head");
    }
    let cause = std::error::Error::source(error)?.downcast_ref::<io::Error>()?;
    (cause.kind() == io::ErrorKind::TimedOut).then_some("stalled")
}

async fn call(
    context: ConnectionContext,
    bodies: Bodies,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let ConnectionContext { mut front, peer, bounds, is_brief } = context;
    if is_brief && !health::PATHS.contains(&request.uri().path()) {
        return Ok(refusal(request.headers(), Problem::overloaded()));
    }
    let mut request = request.map(|body| Body::new(bodies.of(body)));
    if uri_bytes(&request) > URI_BYTES_MAX {
        return Ok(refusal(request.headers(), Problem::uri_too_long(URI_BYTES_MAX)));
    }
    if head_bytes(&request) > HEAD_BYTES_MAX {
        return Ok(refusal(request.headers(), Problem::head_too_large(HEAD_BYTES_MAX)));
    }
    if !has_host(&request) {
        let detail = "a request of HTTP/1.1 says in Host whom it asks";
        return Ok(refusal(request.headers(), Problem::bad_request("malformed_request", detail)));
    }
    if let Err(problem) = check_single(request.headers()) {
        return Ok(refusal(request.headers(), problem));
    }
    let client = bounds.proxies.client(peer.ip(), request.headers());
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, peer.port())));
    front.call(request).await
}

/// RFC 9112, 3.2: asked of everybody since HTTP/1.1.
fn has_host<B>(request: &Request<B>) -> bool {
    request.version() < Version::HTTP_11 || request.headers().contains_key(header::HOST)
}

fn uri_bytes<B>(request: &Request<B>) -> usize {
    request.uri().path_and_query().map_or(0, |path| path.as_str().len())
}

/// As they were sent, or nearly so: what is over the limit may have come in one piece.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let path = uri_bytes(request);
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    path + fields.sum::<usize>()
}

/// The client left before it was accepted: nothing is wrong with the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_have_a_quarter_and_one_on_the_machine_half_unless_the_settings_say_how_many() {
        let local = config::Http { connections_max: 8, ..config::Http::local() };
        let three = config::Http { connections_per_address_max: Some(3), ..local.clone() };
        for (settings, far, near) in [(local, 2, 4), (three, 3, 3)] {
            let bounds = Bounds::of_clients(&settings);
            let share = |address: &str| bounds.share_of(address.parse().unwrap());
            assert_eq!(["192.0.2.1", "2001:db8::1"].map(share), [far; 2]);
            assert_eq!(["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(share), [near; 3]);
        }
    }

    #[test]
    fn half_an_address_of_ipv6_is_one_client() {
        let one = config::Http { connections_per_address_max: Some(1), ..config::Http::local() };
        let (bounds, shares) = (Bounds::of_clients(&one), Shares::default());
        let share = |address: &str| bounds.share(&shares, address.parse().unwrap());
        let first = share("2001:db8::1");
        assert!(first.is_ok() && share("2001:db8::2").is_err() && share("2001:db8:0:1::1").is_ok());
    }
}
