//! Groups go to the writer in order. Where it has no room, what is left waits here for the next chance.

use std::collections::VecDeque;

use infra::log::{OutgoingRecord, Ticket};

use super::{super::effect::Effect, Machine, Mode};

impl Machine {
    /// Closes the next group if it is time, and sends it behind what is unsent.
    pub(super) fn send(&mut self, effects: &mut Vec<Effect>) {
        if let Mode::Serving(serving) = &mut self.mode {
            if !serving.batch.has_in_flight() {
                self.heard_at = self.now;
            }
            let group = serving.batch.take_group(self.now).unwrap_or_default();
            if let Some((_, last)) = group.last() {
                effects.push(Effect::Grouped { records: group.len(), last: *last });
            }
            self.unsent.extend(group);
        }
        // Once in a step and nowhere else, so that what is kept is never overtaken.
        if !self.is_writer_full && !self.unsent.is_empty() {
            effects.push(Effect::Append { records: std::mem::take(&mut self.unsent) });
        }
    }

    /// Reports make room, and time may.
    pub(super) fn keep_unsent(&mut self, records: VecDeque<(OutgoingRecord, Ticket)>) {
        if !self.is_idle() {
            (self.unsent, self.is_writer_full) = (records, true);
        }
    }
}
