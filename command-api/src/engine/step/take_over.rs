//! Claiming the shard, and giving up what an ended epoch had not emitted.
//!
//! Giving up loses nothing: records of the ended epoch that landed before the next claim are found
//! by the replay, and those that land after it never count. So a command is decided anew only when
//! it is certain that its first decision is void.

use std::collections::VecDeque;

use infra::log::{
    ClaimRecord, DeliveryError, Nonce, Offset, OutgoingRecord, Ticket, mistake::Mistake,
};

use super::{
    super::{
        SubmitError,
        batch::Batch,
        effect::{Effect, Role, TakeOverReason},
    },
    Machine, Mode, Serving,
};

impl Machine {
    /// Whoever should own the shard claims it. What is under way of one who should not ends first, in the
    /// log: it ends at once where the other one has claimed already.
    pub(super) fn change_role(&mut self, role: Role) {
        self.role = role;
        if role != Role::Owner {
            self.claims.cancel();
        } else if self.is_idle() {
            self.claims.at_once(self.now);
        }
    }

    pub(super) fn claim_if_due(&mut self, effects: &mut Vec<Effect>) {
        let due = self.claims.take_due(self.now);
        effects.extend(due.map(|reason| Effect::Claim { reason }));
    }

    /// There is a writer to claim through.
    pub(super) fn claim(&mut self, claim: ClaimRecord, effects: &mut Vec<Effect>) {
        let nonce = claim.nonce;
        self.claims.sent(nonce);
        self.heard_at = self.now;
        self.mode = Mode::Claiming { nonce };
        self.is_writer_full = false;
        let records = VecDeque::from([(OutgoingRecord::Claim(claim), Ticket::CLAIM)]);
        effects.push(Effect::Append { records });
        #[cfg(feature = "simulation")]
        self.serve_by_mistake(nonce, effects);
    }

    pub(super) fn claim_reported(
        &mut self,
        result: &Result<Option<Offset>, DeliveryError>,
        effects: &mut Vec<Effect>,
    ) {
        let Mode::Claiming { nonce } = self.mode else { return };
        #[cfg(feature = "simulation")]
        let result = &self.guess_claim_by_mistake(result);
        let Ok(Some(epoch)) = *result else {
            self.take_over(TakeOverReason::ClaimUnknown, effects);
            return;
        };
        let from = self.reader.next_offset();
        if epoch < from {
            let reason = format!(
                "the claim landed at offset {epoch}, but the log was read up to {from}: the topic \
                 was replaced; restart to read the new one"
            );
            effects.push(Effect::Halt { reason });
            return;
        }
        #[cfg(feature = "simulation")]
        let from = self.replay_from_by_mistake(epoch);
        self.mode = Mode::Replaying { nonce, epoch };
        self.read_up_to(from, epoch + 1, effects);
    }

    /// The reader machine saw a claim.
    pub(super) fn claim_read(&mut self, epoch: Offset, nonce: Nonce, effects: &mut Vec<Effect>) {
        match self.mode {
            Mode::Replaying { nonce: own, epoch: awaited } if epoch == awaited => {
                if nonce == own || self.mistakes.has(Mistake::ClaimOffsetGuessed) {
                    self.serve(epoch, nonce, effects);
                } else {
                    self.take_over(TakeOverReason::ClaimUnknown, effects);
                }
            }
            // Even a copy of the own claim: it has an epoch of its own.
            Mode::Serving(_) => self.take_over(TakeOverReason::Deposed, effects),
            Mode::Idle | Mode::Claiming { .. } | Mode::Replaying { .. } => {}
        }
    }

    pub(super) fn serve(&mut self, epoch: Offset, nonce: Nonce, effects: &mut Vec<Effect>) {
        let restarts = self.mistakes.has(Mistake::SeqRestarts);
        let last_seq = if restarts { 0 } else { self.reader.last_seq() };
        self.mode = Mode::Serving(Box::new(Serving {
            batch: Batch::new(epoch, nonce, last_seq),
            hole_end: None,
            held: VecDeque::new(),
            reads: VecDeque::new(),
        }));
        self.heard_at = self.now;
        self.claims.served(self.now);
        #[cfg(feature = "simulation")]
        self.go_on_by_mistake();
        self.decide_undecided(effects);
        self.prove_reads();
    }

    /// Ends this writer's epoch: all that was not emitted goes back to the undecided.
    pub(super) fn take_over(&mut self, reason: TakeOverReason, effects: &mut Vec<Effect>) {
        self.forget_proofs();
        if let Mode::Serving(serving) = std::mem::replace(&mut self.mode, Mode::Idle) {
            #[cfg(feature = "simulation")]
            let serving = self.keep_by_mistake(serving, effects);
            if !self.mistakes.has(Mistake::SpeculationKeptOverFreeze) {
                for stream in serving.batch.speculative_streams() {
                    self.streams.drop_speculation(stream);
                }
            }
            self.undecided.extend(serving.batch.into_undecided());
        }
        self.unsent.clear();
        self.stop_reading(effects);
        effects.push(Effect::GiveUp { reason });
        if self.role == Role::Owner {
            self.claims.later(reason, self.now);
        }
    }

    /// Lets go of a shard that this node should not own, once nothing of it is under way.
    ///
    /// What was not decided, or is void, is refused: its sender takes it to the new owner under the
    /// same command id, which finds it in the log if it is there.
    pub(super) fn let_go_if_idle(&mut self, effects: &mut Vec<Effect>) {
        let busy = matches!(&self.mode, Mode::Serving(serving) if !serving.is_at_rest());
        if self.role == Role::Owner || busy {
            return;
        }
        self.forget_proofs();
        if !self.is_idle() {
            self.mode = Mode::Idle;
            self.unsent.clear();
            self.stop_reading(effects);
            effects.push(Effect::LetGo);
        }
        self.undecided.clear();
        let waiting: Vec<_> = self.commands.keys().copied().collect();
        for command_id in waiting {
            self.refuse(command_id, SubmitError::NotOwner, effects);
        }
        self.refuse_reads(SubmitError::NotOwner, effects);
    }
}
