//! Two projectors on one read model. Each does what `projector` does: read from the stored
//! checkpoint, write a batch and the checkpoint after it in one transaction that begins with a
//! compare-and-set, and begin again at the stored checkpoint after any doubt.

use infra::log::{Checkpoint, Commit, Offset, Reader, Stepped, mistake::Mistakes};

use super::{history::Violation, partition::Partition};

/// The database: which commits are folded in, and the checkpoint row.
#[derive(Default)]
pub(super) struct ReadModel {
    pub(super) row: Checkpoint,
    /// Of each commit the offset after it, in the order of folding.
    pub(super) folded: Vec<Offset>,
}

pub(super) struct Projector {
    mistakes: Mistakes,
    reader: Reader,
    stored: Checkpoint,
    batch: Vec<Commit>,
}

impl Projector {
    pub(super) fn new(mistakes: Mistakes) -> Self {
        Self::resume(Checkpoint::START, mistakes)
    }

    fn resume(stored: Checkpoint, mistakes: Mistakes) -> Self {
        let reader = Reader::resume(stored).with_mistakes(mistakes);
        Self { mistakes, reader, stored, batch: Vec::new() }
    }

    pub(super) fn restart(&mut self, model: &ReadModel) {
        *self = Self::resume(model.row, self.mistakes);
    }

    pub(super) fn can_read(&self, partition: &Partition) -> bool {
        self.reader.next_offset() < partition.end()
    }

    pub(super) fn has_batch(&self) -> bool {
        !self.batch.is_empty()
    }

    pub(super) fn read(&mut self, records: usize, partition: &Partition) -> Result<(), Violation> {
        let from = self.reader.next_offset();
        for record in partition.read(from, partition.end(), records) {
            let stepped = self.reader.step(record);
            match stepped.map_err(|halt| Violation::new("no halt", halt.to_string()))? {
                Stepped::Commit(commit) => self.batch.push(commit),
                Stepped::Claimed { .. } | Stepped::Partial | Stepped::Ignored(_) => {}
            }
        }
        Ok(())
    }

    /// One transaction. Without an answer only the stored checkpoint tells what became of it.
    pub(super) fn write(&mut self, model: &mut ReadModel, answered: bool) {
        if model.row != self.stored {
            self.restart(model);
            return;
        }
        model.folded.extend(self.batch.drain(..).map(|commit| commit.next_offset));
        model.row = self.reader.checkpoint();
        self.stored = model.row;
        if !answered {
            self.restart(model);
        }
    }
}
