//! What is read of the log: what this writer needs to know, or, while another one may write, all of it.

use infra::log::{LogRecord, Offset};

use super::{
    super::effect::{Effect, Role},
    Machine, Reading,
};

impl Machine {
    /// Who may have to take over soon, or is about to, reads what the owner writes.
    pub(super) fn follow_if_idle(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_idle() {
            return;
        }
        if self.role == Role::Away {
            self.stop_reading(effects);
        } else if self.reading == Reading::Nothing {
            self.reading = Reading::Following;
            effects.push(Effect::Read { from: self.reader.next_offset(), to: None });
        }
    }

    pub(super) fn read_up_to(&mut self, from: Offset, to: Offset, effects: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.reading, Reading::UpTo(to));
        // Who follows stands there already, with what has been read ahead.
        if before != Reading::Following {
            effects.push(Effect::Read { from, to: Some(to) });
        }
    }

    /// Leaves what is to be read. What follows it is known by its reports.
    pub(super) fn cut_off(&mut self, records: &mut Vec<LogRecord>, effects: &mut Vec<Effect>) {
        let Reading::UpTo(to) = self.reading else { return };
        records.retain(|record| record.offset < to);
        if records.last().is_none_or(|last| last.offset + 1 >= to) {
            self.stop_reading(effects);
        }
    }

    pub(super) fn stop_reading(&mut self, effects: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.reading, Reading::Nothing) != Reading::Nothing {
            effects.push(Effect::StopReading);
        }
    }
}
