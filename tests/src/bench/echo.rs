//! A server that sends bodies back and does nothing else.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
};

use anyhow::Result;
use axum::{Router, body::Bytes};
use tokio::{runtime, sync::oneshot};

/// Runs until it is dropped.
pub(super) struct Echo {
    address: SocketAddr,
    _running: oneshot::Sender<()>,
}

impl Echo {
    /// On threads of its own.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        let (running, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("echo".to_owned()).spawn(move || {
            runtime.block_on(async {
                let app = Router::new().fallback(|body: Bytes| async move { body });
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::select! {
                    served = axum::serve(listener, app) => served,
                    _ = stopped => Ok(()),
                }
            })
        })?;
        Ok(Self { address, _running: running })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
