//! Words for what the HTTP library refuses by itself: a head that it cannot read, or that is too long.
//!
//! hyper answers those before anybody of ours is asked, with a status and no body. That answer is
//! known by what all of ours have and it lacks, and is replaced on its way to the client.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::http::{
    problem::Problem,
    trace::{RequestContext, TraceContext},
};

/// Bytes of a request's head. More get 431.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;
/// Bytes of a request's path and query. More get 414.
pub(super) const URI_BYTES_MAX: usize = 8 << 10;

/// A connection whose refusals have words.
#[derive(Debug)]
pub(super) struct Worded<T> {
    stream: T,
    /// What is left to be written of a refusal.
    words: Bytes,
}

impl<T> Worded<T> {
    pub(super) fn new(stream: T) -> Self {
        Self { stream, words: Bytes::new() }
    }

    /// Takes a refusal of the library's own, and keeps words for it.
    fn takes(&mut self, bytes: &[u8]) -> bool {
        let Some(words) = words_for(bytes) else { return false };
        self.words = words;
        true
    }
}

impl<T: AsyncWrite + Unpin> Worded<T> {
    fn poll_words(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.words.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.words))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.words.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Worded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Worded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_words(cx))?;
        if self.takes(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_words(cx))?;
        if let Some(first) = slices.iter().find(|slice| !slice.is_empty())
            && self.takes(first)
        {
            return Poll::Ready(Ok(first.len()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_words(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_words(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The whole answer for a refusal of the library's own; `None` for all other bytes, which are most.
fn words_for(bytes: &[u8]) -> Option<Bytes> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 4").or_else(|| bytes.strip_prefix(b"HTTP/1.0 4"))?;
    let head = std::str::from_utf8(rest).ok().filter(|head| head.ends_with("\r\n\r\n"))?;
    // An answer of ours has a body, and all of them have the id of their request.
    let is_ours = !head.contains("\r\ncontent-length: 0\r\n") || head.contains("\r\nx-request-id:");
    if is_ours {
        return None;
    }
    let problem = match head.get(..2)? {
        "00" => Problem::bad_request("malformed_request", "this is not a request of HTTP/1.1"),
        "14" => Problem::uri_too_long(URI_BYTES_MAX),
        "31" => Problem::head_too_large(HEAD_BYTES_MAX),
        _ => return None,
    };
    Some(written(&problem))
}

/// The whole answer for a problem that no request has been read for.
pub(super) fn written(problem: &Problem) -> Bytes {
    let trace = TraceContext::from_headers(&axum::http::HeaderMap::new());
    let context = RequestContext::new(trace, Instant::now(), Duration::ZERO);
    let body = context.sync_scope(|| problem.to_json().to_string());
    let (length, id) = (body.len(), trace.trace_id());
    let status = problem.status();
    let retry = problem.retry_after_seconds();
    let retry = retry.map_or_else(String::new, |seconds| format!("retry-after: {seconds}\r\n"));
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
         x-content-type-options: nosniff\r\nx-request-id: {id}\r\ntraceparent: {trace}\r\n\
         {retry}connection: close\r\n\r\n{body}"
    )
    .into()
}
