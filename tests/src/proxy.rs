//! A TCP proxy that gets in the way when it is told to: it stands between two parts of a stack and
//! cuts, holds or delays what they say to each other, or loses the answers alone.
//!
//! **Invariant:** the bytes of a connection arrive whole and in order or the connection breaks;
//! the proxy never leaves a hole in a stream, which no network does.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use infra::task::{self, Task};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

const BUFFER_BYTES: usize = 64 * 1024;

/// What a proxy does with the bytes of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Pass,
    /// Connections break, new ones break at once.
    Cut,
    /// Nothing arrives and nobody is told: connections stay open, and what was sent meanwhile
    /// arrives afterwards.
    Hold,
    /// Everything arrives this much later.
    Delay(Duration),
    /// Requests arrive; a connection breaks when its answer comes.
    LoseAnswers,
}

/// Listens on a port of its own until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    _serving: Task<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

/// The connection cannot go on: by an error of a side, or on purpose.
struct Broken;

impl From<io::Error> for Broken {
    fn from(_error: io::Error) -> Self {
        Self
    }
}

impl From<watch::error::RecvError> for Broken {
    /// The proxy is gone.
    fn from(_error: watch::error::RecvError) -> Self {
        Self
    }
}

impl Proxy {
    /// Passes everything on to `target`, a port of this machine, which need not listen yet.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub async fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("a port for a proxy")?;
        let port = listener.local_addr()?.port();
        let (mode, told) = watch::channel(Mode::Pass);
        Ok(Self { port, mode, _serving: task::spawn("proxy", serve(listener, target, told)) })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn serve(listener: TcpListener, target: u16, mode: watch::Receiver<Mode>) {
    loop {
        // An error is the peer's, or a shortage that passes.
        let Ok((client, _)) = listener.accept().await else { continue };
        let mode = mode.clone();
        task::spawn("proxied", async move { connect(client, target, mode).await }).detach();
    }
}

async fn connect(mut client: TcpStream, target: u16, mut mode: watch::Receiver<Mode>) {
    let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, target));
    let Ok(Ok(mut server)) = unless_cut(&mut mode, connecting).await else { return reset(&client) };
    // Delays are ours to make, not the system's.
    let quick = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let relayed = match quick {
        Ok(()) => relay(&mut client, &mut server, &mode).await,
        Err(error) => Err(error.into()),
    };
    if relayed.is_err() {
        reset(&client);
        reset(&server);
    }
}

/// The other side learns of a break at once, not after what was sent before.
fn reset(stream: &TcpStream) {
    // A connection that is gone already needs no reset.
    stream.set_zero_linger().ok();
}

async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    mode: &watch::Receiver<Mode>,
) -> Result<(), Broken> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let requests = pump(&mut from_client, &mut to_server, mode.clone(), Way::Request);
    let answers = pump(&mut from_server, &mut to_client, mode.clone(), Way::Answer);
    tokio::try_join!(requests, answers).map(drop)
}

async fn pump(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    mut mode: watch::Receiver<Mode>,
    way: Way,
) -> Result<(), Broken> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = unless_cut(&mut mode, from.read(&mut buffer)).await??;
        pass_gate(&mut mode, way).await?;
        if count == 0 {
            return Ok(to.shutdown().await?);
        }
        unless_cut(&mut mode, to.write_all(&buffer[..count])).await??;
    }
}

/// Waits until what was read may go on.
async fn pass_gate(mode: &mut watch::Receiver<Mode>, way: Way) -> Result<(), Broken> {
    let found = *mode.wait_for(|mode| *mode != Mode::Hold).await?;
    match (found, way) {
        (Mode::Cut, _) | (Mode::LoseAnswers, Way::Answer) => Err(Broken),
        (Mode::Pass | Mode::Hold, _) | (Mode::LoseAnswers, Way::Request) => Ok(()),
        // It ends early when the proxy is told something else.
        (Mode::Delay(time), _) => {
            let told = timeout(time, mode.wait_for(|mode| *mode != found)).await;
            told.map_or(Ok(()), |told| Ok(told.map(drop)?))
        }
    }
}

async fn unless_cut<T>(
    mode: &mut watch::Receiver<Mode>,
    doing: impl Future<Output = T>,
) -> Result<T, Broken> {
    tokio::select! {
        done = doing => Ok(done),
        _cut = mode.wait_for(|mode| *mode == Mode::Cut) => Err(Broken),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    const SOON: Duration = Duration::from_millis(200);

    /// A server that sends lines back and counts them, behind a proxy, and a client of it.
    struct Scene {
        proxy: Proxy,
        client: BufReader<TcpStream>,
        heard: watch::Receiver<u32>,
        _server: Task<()>,
    }

    impl Scene {
        async fn set() -> Self {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let target = listener.local_addr().unwrap().port();
            let (count, heard) = watch::channel(0);
            let server = task::spawn("echo", async move {
                let (stream, _) = listener.accept().await.unwrap();
                let mut lines = BufReader::new(stream);
                let mut line = String::new();
                while lines.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
                    count.send_modify(|count| *count += 1);
                    lines.get_mut().write_all(line.as_bytes()).await.ok();
                    line.clear();
                }
            });
            let proxy = Proxy::start(target).await.unwrap();
            let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
            Self { proxy, client: BufReader::new(client), heard, _server: server }
        }

        async fn send(&mut self, line: &str) {
            self.client.get_mut().write_all(line.as_bytes()).await.unwrap();
        }

        async fn receive(&mut self) -> io::Result<String> {
            let mut line = String::new();
            self.client.read_line(&mut line).await.map(|_| line)
        }
    }

    #[tokio::test]
    async fn what_is_held_arrives_afterwards_and_in_order() {
        let mut scene = Scene::set().await;
        scene.send("one\n").await;
        assert_eq!(scene.receive().await.unwrap(), "one\n");
        scene.proxy.set(Mode::Hold);
        scene.send("two\n").await;
        scene.send("three\n").await;
        assert!(timeout(SOON, scene.receive()).await.is_err());
        assert_eq!(*scene.heard.borrow(), 1);
        scene.proxy.set(Mode::Pass);
        assert_eq!(scene.receive().await.unwrap(), "two\n");
        assert_eq!(scene.receive().await.unwrap(), "three\n");
    }

    #[tokio::test]
    async fn a_cut_breaks_what_is_open_and_what_comes() {
        let mut scene = Scene::set().await;
        scene.proxy.set(Mode::Cut);
        assert!(scene.receive().await.is_err());
        let mut late = TcpStream::connect((Ipv4Addr::LOCALHOST, scene.proxy.port())).await.unwrap();
        assert!(late.read_u8().await.is_err());
    }

    #[tokio::test]
    async fn a_lost_answer_was_asked_for() {
        let mut scene = Scene::set().await;
        scene.proxy.set(Mode::LoseAnswers);
        scene.send("one\n").await;
        assert!(scene.receive().await.is_err());
        scene.heard.wait_for(|count| *count == 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_delay_holds_back_each_way() {
        let mut scene = Scene::set().await;
        scene.proxy.set(Mode::Delay(SOON / 2));
        let began = tokio::time::Instant::now();
        scene.send("one\n").await;
        assert_eq!(scene.receive().await.unwrap(), "one\n");
        assert!(began.elapsed() >= SOON);
    }
}
