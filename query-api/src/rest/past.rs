//! `?as_of=` and `?diff=` of a read of one thing: what it was, and what has changed until another moment.
//!
//! The events of its stream, as the journal has them, go through the fold that makes the row of the thing's
//! read model, up to the first one that was recorded later.
//!
//! **Invariant:** nothing is shown that was not applied when the read began: a moment that the journal has not
//! reached is waited for, like a position of any read.

mod changes;

use std::collections::VecDeque;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{id::StreamId, timestamp::Timestamp};
use infra::{
    clock::Clock,
    codec,
    freshness::Projection,
    http::{etag::ETag, headers::AtLeast, problem::Problem},
    position::{InvalidPosition, Position},
};
use read_models::{History, Past, journal::JOURNAL};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    read::{AppState, CACHE_CONTROL, JSON, ReadOne, ReadRequest},
    shown::{Recorded, shown},
    when::When,
};
use crate::{
    read_model::{Direction, Entity, Kept},
    replay::selection::Bound,
};
use changes::{Change, changes};

const READS: &[Projection] = &[JOURNAL.shown()];
/// Events that one statement reads: a cart's can have a hundred kilobytes.
const PAGE: i64 = 50;
/// Events that are folded for one answer. The streams of some goods have more.
const EVENTS_MAX: usize = 50_000;
/// Events that a difference names.
const NAMED_MAX: usize = 200;

/// A thing as it was, with what has changed since where that was asked for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described: the answer is put together as text")]
pub(super) struct AsOf<T> {
    #[schema(inline)]
    #[serde(flatten)]
    thing: T,
    diff: Option<Diff>,
}

/// What has changed between two moments.
#[derive(Serialize, ToSchema)]
pub(super) struct Diff {
    /// Of the thing at the first moment.
    #[schema(example = 1)]
    from_revision: u64,
    /// At the second.
    #[schema(example = 3)]
    to_revision: u64,
    changes: Vec<Change>,
    /// What did it, the first 200 of them.
    events: Vec<Recorded>,
}

/// A moment, as events are compared with it.
enum Moment {
    Time(Timestamp),
    /// The offset behind it, in the thing's shard.
    Offset(i64),
}

impl Moment {
    fn has(&self, event: &Kept) -> bool {
        match self {
            Self::Time(time) => event.recorded_at <= *time,
            Self::Offset(offset) => event.next_offset <= *offset,
        }
    }
}

/// A thing on its way through its past, and the events that are read ahead.
struct Folding<'a> {
    app: &'a AppState,
    stream: &'a StreamId,
    past: Box<dyn Past>,
    ahead: VecDeque<Kept>,
    /// Of the last event that was read.
    read: Option<i64>,
    is_all: bool,
    /// The last event that was folded.
    last: Option<Kept>,
    count: usize,
}

/// What a thing was.
pub(super) struct Then {
    /// As it is shown.
    pub(super) body: Value,
    text: String,
    revision: u64,
    diff: Option<Diff>,
    position: Position,
}

/// # Errors
/// 404 if there was no such thing then; what a read of the journal fails with.
pub(super) async fn then(
    app: &AppState,
    request: &ReadRequest,
    history: &History,
    stream: &StreamId,
    When { as_of, diff }: &When,
    hidden: impl Fn() -> Problem,
) -> Result<Then, Problem> {
    let names = app.journal()?;
    let now = Clock::System.now();
    let mut position = app.reach(READS, request).await?;
    let mut moments = Vec::new();
    for (pointer, bound) in [("/as_of", as_of), ("/diff", diff)] {
        let Some(bound) = bound else { continue };
        let moment = match bound {
            Bound::Strange => return Err(InvalidPosition.into()),
            Bound::Position(wanted) => {
                position = app.reach_position(READS, request, &AtLeast(wanted.clone())).await?;
                let offset = app.shard_of(stream).and_then(|shard| bound.offset(shard));
                Moment::Offset(offset.ok_or_else(|| {
                    let detail = "the position says nothing of the shard that this is in";
                    Problem::invalid_field(pointer, "other_shard", detail)
                })?)
            }
            Bound::Time(_) | Bound::Ago(_) => {
                let time = bound.time(now).unwrap_or(now);
                position =
                    app.reach_time(JOURNAL.shown(), request, stream, now.since(time)).await?;
                Moment::Time(time)
            }
        };
        moments.push(moment);
    }
    let past = history.begin(stream).ok_or_else(&hidden)?;
    let mut folding = Folding::new(app, stream, past);
    let [first, rest @ ..] = &*moments else { return Err(hidden()) };
    folding.fold(first, |_| {}).await?;
    let (revision, text) = folding.shown()?.ok_or_else(&hidden)?;
    let body: Value = serde_json::from_str(&text).map_err(Problem::internal)?;
    let diff = match rest.first() {
        None => None,
        Some(second) => {
            // Instants and positions can be compared by what they hold.
            if folding.last.as_ref().is_some_and(|last| !second.has(last)) {
                let detail = "must not be before `as_of`";
                return Err(Problem::invalid_field("/diff", "out_of_range", detail));
            }
            let mut named = Vec::new();
            let name = |event: &Kept| {
                if named.len() < NAMED_MAX {
                    named.push(event.clone());
                }
            };
            folding.fold(second, name).await?;
            let after = match folding.shown()? {
                Some((_, text)) => serde_json::from_str(&text).map_err(Problem::internal)?,
                None => Value::Null,
            };
            let events = named.iter().map(|event| shown(stream, event, names, &position));
            Some(Diff {
                from_revision: revision.unsigned_abs(),
                to_revision: folding.last.map_or(0, |last| last.revision.unsigned_abs()),
                changes: changes(&body, &after),
                events: events.collect::<Result<_, Problem>>()?,
            })
        }
    };
    Ok(Then { body, text, revision: revision.unsigned_abs(), diff, position })
}

impl<'a> Folding<'a> {
    fn new(app: &'a AppState, stream: &'a StreamId, past: Box<dyn Past>) -> Self {
        let ahead = VecDeque::new();
        let (read, is_all, last, count) = (None, false, None, 0);
        Self { app, stream, past, ahead, read, is_all, last, count }
    }

    /// Folds all events up to the moment.
    async fn fold(&mut self, to: &Moment, mut each: impl FnMut(&Kept)) -> Result<(), Problem> {
        loop {
            if self.ahead.is_empty() && !self.is_all {
                self.read_on().await?;
            }
            let Some(event) = self.ahead.front().filter(|event| to.has(event)) else {
                return Ok(());
            };
            self.count += 1;
            if self.count > EVENTS_MAX {
                let detail =
                    format!("more than {EVENTS_MAX} events led there; read the events themselves");
                return Err(Problem::rejected(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "history_too_long",
                    detail,
                ));
            }
            each(event);
            let decoded = codec::decode_value(&event.event_type, self.stream, &event.data);
            let decoded = decoded.map_err(|error| self.unreadable(event, error))?;
            let at = event.recorded_at.to_datetime();
            let evolved = self.past.evolve(&decoded, event.revision, at);
            evolved.map_err(|error| self.unreadable(event, error))?;
            self.last = self.ahead.pop_front();
        }
    }

    async fn read_on(&mut self) -> Result<(), Problem> {
        let read_model = self.app.read_model();
        let events = read_model.events(self.stream, Direction::Asc, self.read, PAGE).await?;
        self.is_all = i64::try_from(events.len()).is_ok_and(|count| count < PAGE);
        self.read = events.last().map(|event| event.revision).or(self.read);
        self.ahead.extend(events);
        Ok(())
    }

    fn shown(&self) -> Result<Option<(i64, String)>, Problem> {
        self.past.shown().map_err(Problem::internal)
    }

    /// The read model has parked the thing here, too: what it was behind this event nobody knows.
    fn unreadable(
        &self,
        event: &Kept,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Problem {
        let (stream, revision) = (self.stream, event.revision);
        let detail =
            format!("revision {revision} of {stream} does not apply, and waits for an operator");
        Problem::unavailable("stream_unreadable", detail).caused_by(error)
    }
}

impl Then {
    /// 304 if the client has it already, and did not ask what has changed since.
    pub(super) fn answer(self, read: &ReadOne) -> Result<Response, Problem> {
        let Self { mut text, revision, diff, position, .. } = self;
        let Some(diff) = diff else {
            return Ok(read.answer(Entity { revision, body: text.into() }, &position));
        };
        let diff = serde_json::to_string(&diff).map_err(Problem::internal)?;
        // An object with members, as what is read of a thing always is.
        text.pop();
        let body = format!("{text},\"diff\":{diff}}}");
        Ok((&position, ETag(revision), [CACHE_CONTROL, JSON], body).into_response())
    }
}
