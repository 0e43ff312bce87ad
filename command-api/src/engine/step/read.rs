//! Reads that show all that was answered before they were asked.
//!
//! A confirmed state does not tell whether it is the newest: another writer may have claimed
//! meanwhile, and answered. What tells is a record of the own epoch that was appended after the
//! question and is emitted: no newer claim stands before it, so nobody else has answered anything
//! that this machine has not seen.

use super::{
    super::{
        SubmitError,
        effect::{Effect, RequestId, Role},
    },
    Machine, Mode,
};

/// Reads without an answer; beyond it new ones are told [`SubmitError::Busy`].
pub(super) const READS_PENDING_MAX: usize = 4_096;

impl Machine {
    pub(super) fn asked(&mut self, request: RequestId, effects: &mut Vec<Effect>) {
        let refused = if self.role != Role::Owner {
            Some(SubmitError::NotOwner)
        } else if self.reads_pending() >= READS_PENDING_MAX || self.is_stalled() {
            Some(SubmitError::Busy)
        } else {
            None
        };
        if let Some(error) = refused {
            effects.push(Effect::ReplyRead { request, result: Err(error) });
            return;
        }
        self.unproven_reads.push(request);
        #[cfg(feature = "simulation")]
        self.prove_by_mistake(effects);
        self.prove_reads();
    }

    /// Has what waits ride on the next group. A record under way already proves nothing.
    pub(super) fn prove_reads(&mut self) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        if self.unproven_reads.is_empty() {
            return;
        }
        let seq = serving.batch.prove(self.now);
        serving.reads.extend(self.unproven_reads.drain(..).map(|request| (seq, request)));
    }

    /// The own commit or barrier `seq` is emitted.
    pub(super) fn release_reads(&mut self, seq: u64, effects: &mut Vec<Effect>) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        while let Some((_, request)) = serving.reads.pop_front_if(|(proof, _)| *proof <= seq) {
            effects.push(Effect::ReplyRead { request, result: Ok(()) });
        }
    }

    /// Proofs end with their epoch: what lands later tells nothing of what another writer did.
    pub(super) fn forget_proofs(&mut self) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        self.unproven_reads.extend(serving.reads.drain(..).map(|(_, request)| request));
    }

    pub(super) fn refuse_reads(&mut self, error: SubmitError, effects: &mut Vec<Effect>) {
        let refused = self.unproven_reads.drain(..);
        effects.extend(refused.map(|request| Effect::ReplyRead { request, result: Err(error) }));
    }

    pub(super) fn reads_pending(&self) -> usize {
        let proving = match &self.mode {
            Mode::Serving(serving) => serving.reads.len(),
            Mode::Idle | Mode::Claiming { .. } | Mode::Replaying { .. } => 0,
        };
        self.unproven_reads.len() + proving
    }
}
