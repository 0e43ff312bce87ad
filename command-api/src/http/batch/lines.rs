//! A body as lines, as they come.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use infra::http::problem::Problem;

/// A client that sends nothing for so long is gone; its batch ends.
const SILENCE_MAX: Duration = Duration::from_secs(30);

pub(super) struct Lines {
    body: BodyDataStream,
    line_bytes_max: usize,
    buffer: BytesMut,
    /// Bytes at the start of the buffer that hold no end of line.
    searched: usize,
    /// The line under way is too long and was told so; its rest is thrown away.
    skipping: bool,
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
    pub(super) fn new(body: Body, line_bytes_max: usize) -> Self {
        Self {
            body: body.into_data_stream(),
            line_bytes_max,
            buffer: BytesMut::new(),
            searched: 0,
            skipping: false,
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
            match tokio::time::timeout(SILENCE_MAX, self.body.next()).await {
                Ok(Some(Ok(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => self.ended = true,
                Ok(Some(Err(error))) => {
                    let problem = Problem::bad_request("incomplete_body", "the body broke off");
                    return Read::Broken(problem.caused_by(error));
                }
                Err(_elapsed) => {
                    let detail = "no line came for too long; send the rest in another batch";
                    return Read::Broken(Problem::request_timeout(detail));
                }
            }
        }
    }

    fn buffered(&mut self) -> Option<Read> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
                return self.unfinished();
            };
            let line = self.buffer.split_to(self.searched + length + 1);
            self.searched = 0;
            let skipped = std::mem::take(&mut self.skipping);
            let line = line.freeze();
            let line = line.slice(..line.len() - 1);
            if skipped || line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return Some(self.whole(line));
        }
    }

    /// The buffer holds no end of line.
    fn unfinished(&mut self) -> Option<Read> {
        self.searched = self.buffer.len();
        if self.ended {
            // The last line may end without an end of line.
            let line = self.buffer.split().freeze();
            self.searched = 0;
            let blank = line.iter().all(u8::is_ascii_whitespace);
            return (!blank && !self.skipping).then(|| self.whole(line));
        }
        if self.buffer.len() <= self.line_bytes_max {
            return None;
        }
        self.buffer.clear();
        self.searched = 0;
        let told = std::mem::replace(&mut self.skipping, true);
        (!told).then_some(Read::TooLong)
    }

    fn whole(&self, line: Bytes) -> Read {
        if line.len() > self.line_bytes_max { Read::TooLong } else { Read::Line(line) }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[track_caller]
    fn check(chunks: &[&'static str], expected: &[&str]) {
        let chunks: Vec<Result<&str, std::io::Error>> =
            chunks.iter().map(|chunk| Ok(*chunk)).collect();
        let mut lines = Lines::new(Body::from_stream(stream::iter(chunks)), 4);
        let read = async {
            let mut read = vec![];
            loop {
                match lines.next().await {
                    Read::Line(line) => read.push(String::from_utf8(line.to_vec()).unwrap()),
                    Read::TooLong => read.push("too long".to_owned()),
                    Read::Broken(problem) => panic!("{problem:?}"),
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
    fn a_line_that_is_too_long_is_told_once_and_skipped() {
        check(&["abcd\nabcde\nf\n"], &["abcd", "too long", "f"]);
        check(&["abc", "def", "ghi", "jkl", "m\nf\n"], &["too long", "f"]);
        check(&["abcdef", "g"], &["too long"]);
    }
}
