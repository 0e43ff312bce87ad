//! Any bytes are a record that is ours, foreign or of another version, and none of them a panic; one that
//! is ours is the same after it was written again.
//!
//! The first byte of an input says how long the key is, the rest is the key and the envelope.

#![no_main]

use infra::log::{Body, OutgoingRecord, memory::RawRecord};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first() else { return };
    let (key, envelope) = rest.split_at(usize::from(*length).min(rest.len()));
    let record = RawRecord::structured(key, envelope);
    let Ok(body) = record.decode() else { return };
    let again = match body.clone() {
        Body::Claim(claim) => OutgoingRecord::Claim(claim),
        Body::Event(event) => OutgoingRecord::Event(event),
        Body::Barrier(barrier) => OutgoingRecord::Barrier(barrier),
        Body::Foreign(_) => return,
    };
    let written = RawRecord::of(&again).expect("what was read can be written");
    assert_eq!(written.decode(), Ok(body));
});
