//! The one partition, and a producer to it that behaves as librdkafka was seen to behave under
//! kill -9 and SIGSTOP.
//!
//! **Invariant:** a report that names an offset is right, and such offsets ascend. Nothing else is
//! promised: reports get lost, overtake one another, tell of failures that were none, and records
//! land late, twice or behind one that failed.

use std::collections::VecDeque;

use infra::log::{
    Body, DeliveryError, ForeignReason, LogRecord, Offset, OutgoingRecord, Report, Ticket,
};

use super::action::Fate;

#[derive(Default)]
pub(super) struct Partition {
    pub(super) records: Vec<LogRecord>,
    /// Records that may land at any time, or never.
    pub(super) ghosts: Vec<OutgoingRecord>,
}

impl Partition {
    pub(super) fn end(&self) -> Offset {
        offset(self.records.len())
    }

    pub(super) fn land(&mut self, record: OutgoingRecord) -> Offset {
        let at = self.end();
        self.records.push(record.at(at));
        at
    }

    pub(super) fn land_ghost(&mut self, ghost: usize) -> Offset {
        let ghost = self.ghosts.remove(ghost);
        self.land(ghost)
    }

    pub(super) fn land_foreign(&mut self) {
        let body = Body::Foreign(ForeignReason::ContentType);
        self.records.push(LogRecord { offset: self.end(), body });
    }

    /// At most `count` of the records that stand between two offsets.
    pub(super) fn read(&self, from: Offset, to: Offset, count: usize) -> Vec<LogRecord> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let to = usize::try_from(to).unwrap_or_default().min(self.records.len());
        self.records.get(from..to.min(from.saturating_add(count))).unwrap_or_default().to_vec()
    }
}

/// A node's producer. Its queue has room for so many records without a report.
#[derive(Default)]
pub(super) struct Producer {
    pub(super) wire: VecDeque<(OutgoingRecord, Ticket)>,
    pub(super) reports: VecDeque<Report>,
    pub(super) failed: bool,
}

impl Producer {
    pub(super) fn has_room(&self, room: usize) -> bool {
        self.wire.len() + self.reports.len() < room
    }

    /// The oldest record on the wire meets its fate; tells where it landed, if it did.
    pub(super) fn deliver(&mut self, fate: Fate, partition: &mut Partition) -> Option<Offset> {
        let (record, ticket) = self.wire.pop_front()?;
        let lands = |partition: &mut Partition| Some(partition.land(record.clone()));
        let (landed, result) = match fate {
            Fate::Lands => {
                let at = lands(partition);
                (at, Some(Ok(at)))
            }
            Fate::LandsWithoutOffset => (lands(partition), Some(Ok(None))),
            Fate::LandsReportedFailed => (lands(partition), Some(Err(timed_out()))),
            Fate::LandsUnreported => (lands(partition), None),
            Fate::LandsTwice { second } => {
                let (first, again) = (lands(partition), lands(partition));
                (first, Some(Ok(if second { again } else { first })))
            }
            Fate::LandsAndHaunts => {
                let at = lands(partition);
                partition.ghosts.push(record);
                (at, Some(Ok(at)))
            }
            Fate::Fails { .. } => {
                partition.ghosts.push(record);
                (None, Some(Err(timed_out())))
            }
            Fate::Vanishes => {
                partition.ghosts.push(record);
                (None, None)
            }
        };
        if let Some(result) = result {
            let report = Report { ticket, result };
            match fate {
                Fate::Fails { early: true } => self.reports.push_front(report),
                _ => self.reports.push_back(report),
            }
        }
        landed
    }

    /// The producer is gone; what it had on the wire may land or not.
    pub(super) fn close(self, partition: &mut Partition) {
        partition.ghosts.extend(self.wire.into_iter().map(|(record, _)| record));
    }
}

fn timed_out() -> DeliveryError {
    DeliveryError { reason: "timed out".to_owned() }
}

fn offset(length: usize) -> Offset {
    Offset::try_from(length).unwrap_or(Offset::MAX)
}
