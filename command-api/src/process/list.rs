//! The process managers that there are. A new one is a file with its `mod`, and a line here.

use infra::{codec, log::EventRecord};

use super::{catalogue, checkout, manager::AnyProcessManager};

/// An event that several want is run by each; what they call their steps on one stream must differ then,
/// for the name makes the command's id.
const ALL: &[&dyn AnyProcessManager] = &[&catalogue::CatalogueProcess, &checkout::CheckoutProcess];

/// Those that want an event.
pub(super) fn wanting(event: &EventRecord) -> impl Iterator<Item = &'static dyn AnyProcessManager> {
    let kind = event.stream.stream_type();
    let name = codec::event_name(&event.event_type).unwrap_or_default();
    let wants = move |it: &&dyn AnyProcessManager| kind.is_some_and(|kind| it.wants(kind, name));
    ALL.iter().copied().filter(wants)
}
