//! Steps of processes that wait for an operator. Pure.
//!
//! A parked step holds where its event stands in the log, in the stream of the old shard's processes. Neither
//! is so in the new topic; so none may be open when the copy is finished.

use std::collections::BTreeMap;

use domain::{Event, StreamType, aggregate::Evolve, id::StreamId, process::Process};
use infra::{codec, log::CommitBody};

#[derive(Debug, Default)]
pub(super) struct ParkedSteps(BTreeMap<StreamId, Process>);

impl ParkedSteps {
    /// # Errors
    /// A later release wrote it, of whose steps nothing is known here.
    pub(super) fn note(&mut self, body: &CommitBody) -> Result<(), codec::DecodeError> {
        let CommitBody::Events(events) = body else { return Ok(()) };
        for event in events {
            if event.stream.stream_type() != Some(StreamType::Process) {
                continue;
            }
            if let Event::Process(happened) = codec::recorded(event)?.event {
                self.0.entry(event.stream.clone()).or_default().evolve(&happened);
            }
        }
        Ok(())
    }

    /// How many there are, those included that are being tried again.
    pub(super) fn open(&self) -> usize {
        self.0.values().map(|process| process.steps().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use domain::{aggregate::Aggregate, process, shard::ShardId};
    use infra::log::{EventRecord, sample};

    use super::*;

    fn happened(event: process::Event) -> CommitBody {
        let (event_type, value) = codec::encode(&Event::Process(event));
        let stream = ShardId::new(2).process_stream();
        let record = sample::event(sample::PLACE, 1);
        CommitBody::Events(vec![EventRecord { event_type, value, stream, ..record }])
    }

    #[test]
    fn a_step_is_open_until_its_event_is_done_with() {
        let samples = Process::samples();
        let (settled, before) = samples.split_last().expect("samples");
        let mut parked = ParkedSteps::default();
        for event in before {
            parked.note(&happened(event.clone())).expect("a known event");
        }
        assert_eq!(parked.open(), 1);
        parked.note(&happened(settled.clone())).expect("a known event");
        assert_eq!(parked.open(), 0);
    }
}
