//! A body as lines, as they come.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::StatusCode,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use infra::http::{extract::is_stalled, problem::Problem};
use tokio::time::Instant;
use tokio_util::codec::{AnyDelimiterCodec, Decoder};

/// A client that sends nothing for so long is gone; its batch ends.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What a body may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) line_bytes_max: usize,
    pub(super) bytes_max: usize,
    pub(super) blank_max: usize,
    /// When the last line must have come.
    pub(super) until: Instant,
}

pub(super) struct Lines {
    body: BodyDataStream,
    /// What is left of them.
    bounds: Bounds,
    buffer: BytesMut,
    codec: AnyDelimiterCodec,
    ended: bool,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Read {
    /// Without its end, never blank.
    Line(Bytes),
    TooLong,
    /// The rest will never come.
    Broken(Problem),
    End,
}

impl Lines {
    pub(super) fn new(body: Body, bounds: Bounds) -> Self {
        Self {
            body: body.into_data_stream(),
            bounds,
            buffer: BytesMut::new(),
            codec: AnyDelimiterCodec::new_with_max_length(
                b"\n".to_vec(),
                Vec::new(),
                bounds.line_bytes_max,
            ),
            ended: false,
        }
    }

    /// Loses nothing if it is dropped before it is done.
    pub(super) async fn next(&mut self) -> Read {
        loop {
            if let Some(read) = self.buffered() {
                return read;
            }
            if self.ended {
                return Read::End;
            }
            let until = self.bounds.until.min(Instant::now() + SILENCE_MAX);
            match tokio::time::timeout_at(until, self.body.next()).await {
                Ok(Some(Ok(chunk))) => match self.bounds.bytes_max.checked_sub(chunk.len()) {
                    Some(left) if Instant::now() < self.bounds.until => {
                        self.bounds.bytes_max = left;
                        self.buffer.extend_from_slice(&chunk);
                    }
                    Some(_) => return Read::Broken(too_slow()),
                    None => return Read::Broken(too_large("bytes")),
                },
                Ok(None) => self.ended = true,
                Ok(Some(Err(error))) if is_stalled(&error) => return Read::Broken(silent()),
                Ok(Some(Err(error))) => {
                    let problem = Problem::bad_request("incomplete_body", "the body broke off");
                    return Read::Broken(problem.caused_by(error));
                }
                Err(_elapsed) if until == self.bounds.until => return Read::Broken(too_slow()),
                Err(_elapsed) => return Read::Broken(silent()),
            }
        }
    }

    fn buffered(&mut self) -> Option<Read> {
        loop {
            let line = if self.ended {
                // The last line may end without an end of line.
                self.codec.decode_eof(&mut self.buffer)
            } else {
                self.codec.decode(&mut self.buffer)
            };
            match line {
                Ok(Some(line)) if line.iter().all(u8::is_ascii_whitespace) => {
                    match self.bounds.blank_max.checked_sub(1) {
                        Some(left) => self.bounds.blank_max = left,
                        None => return Some(Read::Broken(too_large("blank lines"))),
                    }
                }
                Ok(Some(line)) => return Some(Read::Line(line)),
                Ok(None) => return None,
                // It reads from memory, so nothing else can be wrong. The line's rest is thrown away.
                Err(_too_long) => return Some(Read::TooLong),
            }
        }
    }
}

fn too_large(of_what: &str) -> Problem {
    let detail = format!("this batch has too many {of_what}; send the rest in another");
    Problem::rejected(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_long", detail)
}

fn too_slow() -> Problem {
    Problem::request_timeout("this batch has taken too long; send the rest in another")
}

fn silent() -> Problem {
    Problem::request_timeout("no line came for too long; send the rest in another batch")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn bounds() -> Bounds {
        let until = Instant::now() + SILENCE_MAX;
        Bounds { line_bytes_max: 4, bytes_max: 40, blank_max: 3, until }
    }

    #[track_caller]
    fn check(chunks: &[&'static str], expected: &[&str]) {
        let chunks: Vec<Result<&str, std::io::Error>> =
            chunks.iter().map(|chunk| Ok(*chunk)).collect();
        let mut lines = Lines::new(Body::from_stream(stream::iter(chunks)), bounds());
        let read = async {
            let mut read = vec![];
            loop {
                match lines.next().await {
                    Read::Line(line) => read.push(String::from_utf8(line.to_vec()).unwrap()),
                    Read::TooLong => read.push("too long".to_owned()),
                    Read::Broken(problem) => {
                        read.push(problem.code().to_owned());
                        return read;
                    }
                    Read::End => return read,
                }
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert_eq!(runtime.block_on(read), expected);
    }

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        check(&["a\nbb\n"], &["a", "bb"]);
        check(&["a", "\nb", "b", "\n"], &["a", "bb"]);
        check(&["a\n\n \r\nb"], &["a", "b"]);
        check(&[], &[]);
    }

    #[test]
    fn bytes_and_blank_lines_have_an_end() {
        check(&["a\n\n\n", "\nb\n"], &["a", "b"]);
        check(&["a\n\n\n", "\n\nb\n"], &["a", "batch_too_long"]);
        check(&["abc\n"; 10], &["abc"; 10]);
        let mut cut = vec!["abc"; 10];
        cut.push("batch_too_long");
        check(&["abc\n"; 11], &cut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_never_ends_ends() {
        let drip = stream::unfold((), async |()| {
            tokio::time::sleep(SILENCE_MAX / 4).await;
            Some((Ok::<_, std::io::Error>("\n"), ()))
        });
        let bounds = Bounds { blank_max: usize::MAX, bytes_max: usize::MAX, ..bounds() };
        let Read::Broken(problem) = Lines::new(Body::from_stream(drip), bounds).next().await else {
            panic!("it ends");
        };
        assert_eq!(problem.code(), "request_timeout");
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_skipped() {
        check(&["abcd\nabcde\nf\n"], &["abcd", "too long", "f"]);
        check(&["abc", "def", "ghi", "jkl", "m\nf\n"], &["too long", "f"]);
        check(&["abcdef", "g"], &["too long"]);
    }
}
