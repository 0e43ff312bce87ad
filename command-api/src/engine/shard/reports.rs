//! What the log says of what was sent.

use infra::{
    log::{Report, Ticket},
    telemetry::emit,
};

use super::{
    super::{
        effect::{Effect, Input},
        events::GroupReported,
    },
    BURST_MAX, Shard,
    log::Writer,
};

impl Shard {
    pub(super) fn take_reports(&mut self, first: Report, effects: &mut Vec<Effect>) {
        self.machine.step(Input::Heard { now: self.clock.now() }, effects);
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(report) = next {
            self.measure(report.ticket);
            self.machine.step(Input::Reported { report }, effects);
            taken += 1;
            let ready = |writer: &mut Writer| writer.reports.try_recv().ok();
            next = if taken < BURST_MAX { self.writer.as_mut().and_then(ready) } else { None };
        }
    }

    /// Reports come in the order of appending, so the oldest group ends first.
    fn measure(&mut self, reported: Ticket) {
        let Some(writer) = &mut self.writer else { return };
        if let Some((_, sent_at)) = writer.groups.pop_front_if(|(last, _)| *last == reported) {
            emit(GroupReported { shard: self.id, took: sent_at.elapsed() });
        }
    }
}
