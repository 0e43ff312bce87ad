//! Groups go to the writer in order; a delivery report tells where a record stands, and what stands before
//! it must be known too.
//!
//! Where the writer has no room, what is left waits here for the next chance. Reports are matched by
//! ticket, never by position, and fed to the reader machine in the order of offsets.
//! Anything that does not fit ends this writer's epoch.

use std::collections::VecDeque;

use infra::log::{OutgoingRecord, Report, Ticket, mistake::Mistake, reader::Stepped};

use super::{
    super::effect::{Effect, TakeOverReason},
    Machine, Mode,
};

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

    pub(super) fn reported(&mut self, report: Report, effects: &mut Vec<Effect>) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        if report.ticket.epoch != serving.batch.epoch() {
            return;
        }
        if serving.hole_end.is_some() {
            serving.held.push_back(report);
            return;
        }
        #[cfg(feature = "simulation")]
        let Some(report) = self.take_by_mistake(report, effects) else { return };
        let expected = self.reader.next_offset();
        match report.result {
            Err(_) => self.take_over(TakeOverReason::DeliveryFailed, effects),
            Ok(Some(offset)) if offset == expected => self.deliver(report, effects),
            Ok(Some(offset)) if offset > expected => {
                let Mode::Serving(serving) = &mut self.mode else { return };
                // Records of other writers stand in between; one may be a newer claim.
                serving.hole_end = Some(offset);
                serving.held.push_front(report);
                self.read_up_to(expected, offset, effects);
            }
            Ok(Some(_) | None) => self.take_over(TakeOverReason::OffsetUnknown, effects),
        }
    }

    /// Feeds the own record that is due at the reader's next offset.
    fn deliver(&mut self, report: Report, effects: &mut Vec<Effect>) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        let offset = self.reader.next_offset();
        let Some(record) = serving.batch.take_in_flight(report.ticket) else {
            // A report before this one is missing: its record may be anywhere.
            self.take_over(TakeOverReason::DeliveryFailed, effects);
            return;
        };
        let stepped = self.feed(record.at(offset), effects);
        let ignored = matches!(stepped, Some(Stepped::Ignored(_)));
        if ignored && !self.mistakes.has(Mistake::FailedAppendIgnored) {
            self.take_over(TakeOverReason::DeliveryFailed, effects);
        }
    }

    /// The hole before the oldest held report is filled: go on with what was held.
    pub(super) fn resume_reports(&mut self, effects: &mut Vec<Effect>) {
        loop {
            let Mode::Serving(serving) = &mut self.mode else { return };
            if serving.hole_end.is_some_and(|end| self.reader.next_offset() < end) {
                return;
            }
            serving.hole_end = None;
            let Some(report) = serving.held.pop_front() else { return };
            self.reported(report, effects);
        }
    }
}
