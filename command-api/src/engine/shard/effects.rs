//! What the machine asks for is done, in order.

use std::{collections::VecDeque, error::Error, sync::atomic::Ordering};

use infra::{
    log::{AppendError, ClaimInfo, ClaimRecord, Nonce, OutgoingRecord, Ticket},
    telemetry::emit,
};
use tokio::time::Instant;

use super::{
    super::{
        Answered,
        effect::{Effect, Input, TakeOverReason},
        events::{OfShard, ShardEvent},
    },
    Shard, ShardError,
    log::{Reading, Writer},
};

impl Shard {
    pub(super) async fn run_effects(
        &mut self,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ShardError> {
        while !effects.is_empty() {
            let mut more = Vec::new();
            for effect in effects.drain(..) {
                self.run_effect(effect, &mut more).await?;
            }
            effects.append(&mut more);
        }
        Ok(())
    }

    async fn run_effect(
        &mut self,
        effect: Effect,
        more: &mut Vec<Effect>,
    ) -> Result<(), ShardError> {
        match effect {
            Effect::Reply { request, result } => {
                if let Some(reply) = self.replies.remove(&request) {
                    reply.send(result.map(Answered::Submitted));
                }
            }
            Effect::Joined { request } => {
                if let Some(reply) = self.replies.get(&request) {
                    reply.joined.store(true, Ordering::Relaxed);
                }
            }
            Effect::ReplyRead { request, result } => match (self.reads.remove(&request), result) {
                (Some((streams, reply)), Ok(())) => self.show(&streams, reply),
                (Some((_, reply)), Err(error)) => reply.send(Err(error)),
                (None, _) => {}
            },
            Effect::Claim { reason } => self.claim(reason, more).await,
            Effect::Grouped { records, last } => {
                emit(OfShard(self.id, ShardEvent::GroupSent(records)));
                if let Some(writer) = &mut self.writer {
                    writer.groups.push_back((last, Instant::now()));
                }
            }
            Effect::Append { records } => self.append(records, more),
            Effect::Read { from, to } => {
                self.reading = Some(Reading::new(&self.log, self.id, from, to))
            }
            Effect::StopReading => self.reading = None,
            Effect::Emitted { commit, checkpoint } => {
                if self.listener.as_ref().is_some_and(|it| !it.tell(commit, checkpoint)) {
                    self.hear(None);
                }
            }
            Effect::LetGo => self.writer = None,
            Effect::GiveUp { reason } => {
                emit(OfShard(self.id, ShardEvent::EpochEnded(reason)));
                self.writer = None;
            }
            Effect::Unreadable { stream, detail } => {
                let (stream, detail) = (&stream, &*detail);
                emit(OfShard(self.id, ShardEvent::StreamUnreadable { stream, detail }));
            }
            Effect::NotReadable { stream, detail } => {
                let (stream, detail) = (&stream, &*detail);
                emit(OfShard(self.id, ShardEvent::RecordNotReadable { stream, detail }));
            }
            Effect::Halt { reason } => return Err(ShardError::Halted { shard: self.id, reason }),
        }
        Ok(())
    }

    pub(super) fn tell_unreadable(&mut self) {
        for entry in &self.machine.take_unreadable() {
            emit(OfShard(self.id, entry));
        }
    }

    /// A fresh writer, and a claim to send through it.
    async fn claim(&mut self, reason: TakeOverReason, more: &mut Vec<Effect>) {
        emit(OfShard(self.id, ShardEvent::TakingOver(reason)));
        let opened = self.log.open_writer(self.id).await;
        let now = self.clock.now();
        let info = ClaimInfo {
            node: self.node.name.clone(),
            url: self.node.url.clone(),
            started_at: now,
            software: concat!("tradewind/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let claim = ClaimRecord { nonce: Nonce::random(), info };
        self.machine.step(Input::ClaimReady { claim, now }, more);
        match opened {
            Ok((append, reports)) => {
                self.writer = Some(Writer { append, reports, groups: VecDeque::new() });
            }
            Err(error) => self.writer_failed(&error, more),
        }
    }

    fn writer_failed(&mut self, error: &(dyn Error + 'static), more: &mut Vec<Effect>) {
        emit(OfShard(self.id, ShardEvent::WriterFailed(error)));
        self.machine.step(Input::AppendFailed, more);
    }

    fn append(&mut self, mut records: VecDeque<(OutgoingRecord, Ticket)>, more: &mut Vec<Effect>) {
        // Without a writer its epoch has ended, and these records are void.
        let Some(writer) = &mut self.writer else { return };
        match writer.append.append_all(&mut records) {
            Ok(()) => {}
            Err(AppendError::QueueFull) => self.machine.step(Input::QueueFull { records }, more),
            Err(error @ AppendError::Fatal(_)) => self.writer_failed(&error, more),
        }
    }
}
