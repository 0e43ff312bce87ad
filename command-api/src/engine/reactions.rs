//! How far the process managers of a shard have reacted to its events, for whoever waits for that.
//!
//! The managers run where the shard is served, and so it is there that a command waits for them.
//! **Invariant:** nobody waits for what the events of other streams lead to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{id::StreamId, shard::ShardId};
use infra::log::Offset;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{Answer, Engine, Outcome, SubmitError};

/// What is known of one shard. Cheap to clone; clones know the same.
#[derive(Clone, Default)]
pub(crate) struct Reactions(Arc<Mutex<Book>>);

/// The end of whoever follows the shard. When it is dropped, those who wait wait for the next one.
pub(crate) struct Following(Reactions);

#[derive(Default)]
struct Book {
    /// Up to where the events have been read; `None` while nobody follows the shard here.
    read_to: Option<Offset>,
    /// How many events are under way of a stream's commit that begins at an offset.
    open: BTreeMap<(StreamId, Offset), usize>,
    /// Who waits for a stream's events before an offset, all of which have been read.
    waiting: BTreeMap<(StreamId, Offset), Vec<oneshot::Sender<()>>>,
    /// The same, by the offset that is to be read up to first.
    ahead: BTreeMap<(Offset, StreamId), Vec<oneshot::Sender<()>>>,
}

impl Engine {
    pub(crate) fn reactions(&self, shard: ShardId) -> &Reactions {
        &self.handle(shard).reactions
    }

    /// Waits until the managers are done with what a stream's events had led to when a command was
    /// answered. A replayed answer waits for the events that it tells of, an unchanged one for those
    /// which made it so. It is an error if they are not done with it here, or not in time.
    pub(super) async fn reacted(
        &self,
        stream: &StreamId,
        answer: &Answer,
        deadline: Instant,
    ) -> Result<(), SubmitError> {
        if matches!(answer.outcome, Outcome::Rejected { .. }) {
            return Ok(());
        }
        let shard = self.shard_of(stream);
        let reached = answer.position.entries().find(|entry| entry.shard == shard);
        let until = reached.map_or(0, |entry| entry.next_offset);
        tokio::select! {
            biased;
            () = self.reactions(shard).wait(stream, until) => Ok(()),
            () = self.served_here(shard, false) => Err(SubmitError::HandedOver),
            () = sleep_until(deadline) => Err(SubmitError::Unknown),
        }
    }
}

impl Reactions {
    /// Begins to follow where all events before `from` are done with.
    pub(crate) fn follow(&self, from: Offset) -> Following {
        let following = Following(self.clone());
        following.read([].into_iter(), from);
        following
    }

    /// Waits until all events of a stream before an offset are done with.
    async fn wait(&self, stream: &StreamId, until: Offset) {
        let Some(done) = self.lock().wait(stream, until) else { return };
        let mut waiter = Waiter { reactions: self, stream, until, done };
        // Whoever is not told waits until it is told otherwise.
        if (&mut waiter.done).await.is_err() {
            std::future::pending().await
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves nothing behind when its time is over.
struct Waiter<'a> {
    reactions: &'a Reactions,
    stream: &'a StreamId,
    until: Offset,
    done: oneshot::Receiver<()>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.done.close();
        self.reactions.lock().forget(self.stream, self.until);
    }
}

impl Following {
    /// All events before an offset have been read; these, each at the offset of its commit, are under
    /// way from now on.
    pub(crate) fn read<'a>(
        &self,
        events: impl Iterator<Item = (&'a StreamId, Offset)>,
        next_offset: Offset,
    ) {
        let mut book = self.0.lock();
        for (stream, at) in events {
            *book.open.entry((stream.clone(), at)).or_default() += 1;
        }
        book.read(next_offset);
    }

    /// One of the events that were read is done with: what it asks for is done, refused or parked.
    pub(crate) fn finish(&self, stream: &StreamId, at: Offset) {
        self.0.lock().finish(stream, at);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.lock().end();
    }
}

impl Book {
    fn is_done(&self, stream: &StreamId, until: Offset) -> bool {
        let events = (stream.clone(), Offset::MIN)..(stream.clone(), until);
        self.open.range(events).next().is_none()
    }

    /// Tells when all is done, unless it is.
    fn wait(&mut self, stream: &StreamId, until: Offset) -> Option<oneshot::Receiver<()>> {
        let is_read = self.read_to.is_some_and(|read_to| until <= read_to);
        if is_read && self.is_done(stream, until) {
            return None;
        }
        let (tell, done) = oneshot::channel();
        let stream = stream.clone();
        let waiters = if is_read {
            self.waiting.entry((stream, until)).or_default()
        } else {
            self.ahead.entry((until, stream)).or_default()
        };
        waiters.push(tell);
        Some(done)
    }

    fn read(&mut self, next_offset: Offset) {
        self.read_to = Some(next_offset);
        while let Some(entry) = self.ahead.first_entry().filter(|it| it.key().0 <= next_offset) {
            let ((until, stream), waiters) = entry.remove_entry();
            if self.is_done(&stream, until) {
                tell(waiters);
            } else {
                self.waiting.entry((stream, until)).or_default().extend(waiters);
            }
        }
    }

    fn finish(&mut self, stream: &StreamId, at: Offset) {
        let key = (stream.clone(), at);
        let left = self.open.remove(&key).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            self.open.insert(key, left);
            return;
        }
        // Whoever waits for less than this event had nothing to learn, and who comes first waits for least.
        let later = (stream.clone(), at)..=(stream.clone(), Offset::MAX);
        while let Some((first, _)) = self.waiting.range(later.clone()).next() {
            let first = first.clone();
            if !self.is_done(stream, first.1) {
                return;
            }
            tell(self.waiting.remove(&first).unwrap_or_default());
        }
    }

    /// Nobody follows the shard here any more. What was under way is done by the next follower, again or
    /// for the first time.
    fn end(&mut self) {
        self.read_to = None;
        self.open.clear();
        for ((stream, until), waiters) in std::mem::take(&mut self.waiting) {
            self.ahead.entry((until, stream)).or_default().extend(waiters);
        }
    }

    /// Who waited for this may have gone.
    fn forget(&mut self, stream: &StreamId, until: Offset) {
        forget(&mut self.waiting, &(stream.clone(), until));
        forget(&mut self.ahead, &(until, stream.clone()));
    }
}

fn forget<K: Ord>(waiting: &mut BTreeMap<K, Vec<oneshot::Sender<()>>>, key: &K) {
    if let Some(waiters) = waiting.get_mut(key) {
        waiters.retain(|waiter| !waiter.is_closed());
        if waiters.is_empty() {
            waiting.remove(key);
        }
    }
}

/// A waiter that has gone needs to know nothing.
fn tell(waiters: Vec<oneshot::Sender<()>>) {
    for waiter in waiters {
        waiter.send(()).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use domain::id::{OrderId, StreamId};
    use futures_util::poll;
    use uuid::Uuid;

    use super::*;

    fn stream(n: u128) -> StreamId {
        OrderId::new(Uuid::from_u128(n)).stream()
    }

    /// Follows from offset 10; the events of these streams begin at 10, 11 and so on.
    fn following(reactions: &Reactions, streams: &[StreamId]) -> Following {
        let following = reactions.follow(10);
        let end = 10 + Offset::try_from(streams.len()).unwrap();
        following.read(streams.iter().zip(10..), end);
        following
    }

    #[tokio::test]
    async fn a_stream_waits_for_its_own_events_up_to_an_offset_and_for_no_others() {
        let (reactions, one, other) = (Reactions::default(), stream(1), stream(2));
        let streams = [one.clone(), other.clone(), one.clone(), one.clone()];
        let following = following(&reactions, &streams);
        for (stream, until) in [(&one, 10), (&other, 11), (&stream(3), 14)] {
            assert!(poll!(pin!(reactions.wait(stream, until))).is_ready(), "{stream} {until}");
        }
        let (mut first, mut both) =
            (pin!(reactions.wait(&one, 11)), pin!(reactions.wait(&one, 13)));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut both).is_pending());
        following.finish(&one, 12);
        assert!(poll!(&mut both).is_pending(), "the first event is under way");
        following.finish(&one, 10);
        assert!(poll!(&mut first).is_ready());
        assert!(poll!(&mut both).is_ready(), "the last one is none of its business");
    }

    #[tokio::test]
    async fn all_events_of_a_commit_are_waited_for() {
        let (reactions, one) = (Reactions::default(), stream(1));
        let following = reactions.follow(10);
        following.read([(&one, 10), (&one, 10)].into_iter(), 12);
        let mut waiting = pin!(reactions.wait(&one, 12));
        following.finish(&one, 10);
        assert!(poll!(&mut waiting).is_pending());
        following.finish(&one, 10);
        assert!(poll!(&mut waiting).is_ready());
    }

    #[tokio::test]
    async fn what_is_not_read_is_not_done_with() {
        let (reactions, one) = (Reactions::default(), stream(1));
        let mut waiting = pin!(reactions.wait(&one, 12));
        assert!(poll!(&mut waiting).is_pending(), "nobody follows");
        let following = reactions.follow(10);
        assert!(poll!(&mut waiting).is_pending());
        following.read([(&one, 10)].into_iter(), 12);
        assert!(poll!(&mut waiting).is_pending(), "it is under way");
        following.finish(&one, 10);
        assert!(poll!(&mut waiting).is_ready());
    }

    #[tokio::test]
    async fn who_waits_goes_on_with_the_next_follower() {
        let (reactions, one) = (Reactions::default(), stream(1));
        let first = following(&reactions, std::slice::from_ref(&one));
        let mut waiting = pin!(reactions.wait(&one, 11));
        assert!(poll!(&mut waiting).is_pending());
        drop(first);
        assert!(poll!(pin!(reactions.wait(&one, 5))).is_pending(), "nobody knows");
        let second = following(&reactions, std::slice::from_ref(&one));
        assert!(poll!(&mut waiting).is_pending(), "it is done again");
        second.finish(&one, 10);
        assert!(poll!(&mut waiting).is_ready());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_behind() {
        let (reactions, one) = (Reactions::default(), stream(1));
        let _following = following(&reactions, std::slice::from_ref(&one));
        for until in [11, 20] {
            let mut waiting = Box::pin(reactions.wait(&one, until));
            assert!(poll!(&mut waiting).is_pending());
        }
        let book = reactions.lock();
        assert!(book.waiting.is_empty());
        assert!(book.ahead.is_empty());
    }
}
