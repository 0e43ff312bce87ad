//! A connection whose client has to go on: who takes or sends nothing for too long is cut off.
//!
//! Only what is under way counts: a client may wait for its answer, and the time between two requests
//! is bounded elsewhere.
//!
//! A connection that ends while the client still sends would be reset, and the answer lost with it:
//! so a bounded rest is read and thrown away first.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

/// How much of a request that was refused before its end is thrown away, and for how long, until
/// the connection is closed under the client's hands.
const REST_BYTES_MAX: usize = 16 << 20;
const REST_WAIT_MAX: Duration = Duration::from_secs(5);

/// The client has made no progress for too long.
#[derive(Debug, thiserror::Error)]
#[error("the client has not gone on for {0:?}")]
pub(crate) struct Stalled(Duration);

/// Runs while nothing goes on, neither here nor in the other direction: one who takes answers may wait
/// for them before it sends more, and one who sends may take its answers later.
#[derive(Debug)]
struct Patience {
    wait_max: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    opposite: Moved,
    seen: u64,
}

impl Patience {
    fn new(wait_max: Duration, opposite: Moved) -> Self {
        Self { wait_max, stalled: None, seen: opposite.get(), opposite }
    }

    /// Lets what happens pass, and ends the wait for what does not.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<T>) -> Poll<Result<T, Stalled>> {
        let moved = self.opposite.get();
        if std::mem::replace(&mut self.seen, moved) != moved {
            self.stalled = None;
        }
        if let Poll::Ready(value) = polled {
            self.stalled = None;
            return Poll::Ready(Ok(value));
        }
        let wait_max = self.wait_max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(wait_max)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(Stalled(wait_max)))
    }
}

/// Bytes that went in one direction.
#[derive(Clone, Debug, Default)]
struct Moved(Arc<AtomicU64>);

impl Moved {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the client has sent something that nobody has read to its end.
#[derive(Clone, Debug, Default)]
struct Unread(Arc<AtomicBool>);

impl Unread {
    fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }
}

/// The connection.
#[derive(Debug)]
pub(super) struct SteadyStream {
    stream: TcpStream,
    writing: Patience,
    taken: Moved,
    sent: Moved,
    unread: Unread,
    rest: Option<Rest>,
}

/// What is thrown away in the end.
#[derive(Debug)]
struct Rest {
    bytes: usize,
    until: Pin<Box<Sleep>>,
}

/// Makes the bodies of a connection's requests [`SteadyBody`]s.
#[derive(Clone, Debug)]
pub(super) struct Bodies {
    wait_max: Duration,
    taken: Moved,
    unread: Unread,
}

impl SteadyStream {
    pub(super) fn new(stream: TcpStream, wait_max: Duration) -> (Self, Bodies) {
        let (taken, sent, unread) = (Moved::default(), Moved::default(), Unread::default());
        let bodies = Bodies { wait_max, taken: taken.clone(), unread: unread.clone() };
        let writing = Patience::new(wait_max, sent.clone());
        (Self { stream, writing, taken, sent, unread, rest: None }, bodies)
    }

    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.taken.add(*bytes);
        }
        let watched = ready!(self.writing.watch(cx, written));
        if watched.is_err() {
            // Else the kernel would go on trying to hand over what nobody takes.
            self.stream.set_zero_linger().ok();
        }
        Poll::Ready(settle(watched))
    }
}

impl AsyncRead for SteadyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        self.sent.add(read);
        self.unread.set(read > 0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SteadyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            let rest = Rest { bytes: REST_BYTES_MAX, until: Box::pin(sleep(REST_WAIT_MAX)) };
            self.rest = Some(rest);
        }
        let Self { stream, rest: Some(rest), unread, .. } = &mut *self else {
            return Poll::Ready(Ok(()));
        };
        let mut thrown_away = [0; 8192];
        while unread.0.load(Ordering::Relaxed) && rest.bytes > 0 {
            if rest.until.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut buffer = ReadBuf::new(&mut thrown_away);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            unread.set(read > 0);
            rest.bytes = rest.bytes.saturating_sub(read);
        }
        Poll::Ready(Ok(()))
    }
}

fn settle(written: Result<io::Result<usize>, Stalled>) -> io::Result<usize> {
    written.unwrap_or_else(|stalled| Err(io::Error::new(io::ErrorKind::TimedOut, stalled)))
}

impl Bodies {
    pub(super) fn of(&self, body: Incoming) -> SteadyBody {
        self.unread.set(!body.is_end_stream());
        let reading = Patience::new(self.wait_max, self.taken.clone());
        SteadyBody { body, reading, unread: self.unread.clone() }
    }
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct SteadyBody {
    body: Incoming,
    reading: Patience,
    unread: Unread,
}

impl Body for SteadyBody {
    type Data = <Incoming as Body>::Data;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let frame = match ready!(self.reading.watch(cx, polled)) {
            Ok(frame) => frame,
            Err(stalled) => return Poll::Ready(Some(Err(stalled.into()))),
        };
        if self.body.is_end_stream() {
            self.unread.set(false);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
