//! The commands with an Idempotency-Key that are under way or were answered lately.
//!
//! The engine holds each shard's answers for good; this adds what one shard cannot see: that a key
//! came back for a stream of another shard, and that a request is under way twice. It remembers
//! what this process has seen, and only that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::id::CommandId;
use infra::log::record::RequestHash;
use rustc_hash::FxHashMap;

/// Commands per generation; two generations are remembered, then the older one is forgotten.
const GENERATION_MAX: usize = 100_000;

#[derive(Clone, Default)]
pub(super) struct KeyMemory(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    /// Requests per command, with the hash that they share.
    under_way: FxHashMap<CommandId, (RequestHash, usize)>,
    recent: FxHashMap<CommandId, RequestHash>,
    older: FxHashMap<CommandId, RequestHash>,
}

/// A command that is under way, until it is dropped.
pub(super) struct UnderWay {
    memory: KeyMemory,
    command_id: CommandId,
    request_hash: RequestHash,
    /// The same request was under way already when this one came.
    pub(super) twice: bool,
}

/// The key belongs to another request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reused;

impl KeyMemory {
    pub(super) fn enter(
        &self,
        command_id: CommandId,
        request_hash: RequestHash,
    ) -> Result<UnderWay, Reused> {
        let mut memory = self.lock();
        let known = memory.recent.get(&command_id).or_else(|| memory.older.get(&command_id));
        if known.is_some_and(|known| *known != request_hash) {
            return Err(Reused);
        }
        let (first, count) = memory.under_way.entry(command_id).or_insert((request_hash, 0));
        if *first != request_hash {
            return Err(Reused);
        }
        *count += 1;
        let twice = *count > 1;
        drop(memory);
        Ok(UnderWay { memory: self.clone(), command_id, request_hash, twice })
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// The engine has taken the command, so its key is spent.
    pub(super) fn remember(&self) {
        let mut memory = self.memory.lock();
        if memory.recent.len() >= GENERATION_MAX {
            memory.older = std::mem::take(&mut memory.recent);
        }
        memory.recent.insert(self.command_id, self.request_hash);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut memory = self.memory.lock();
        if let Some((_, count)) = memory.under_way.get_mut(&self.command_id) {
            *count -= 1;
            if *count == 0 {
                memory.under_way.remove(&self.command_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const KEY: CommandId = CommandId::new(Uuid::from_u128(7));

    fn hash(text: &str) -> RequestHash {
        RequestHash::of(&[text.as_bytes()])
    }

    #[test]
    fn a_key_is_taken_while_its_request_is_under_way() {
        let memory = KeyMemory::default();
        let first = memory.enter(KEY, hash("a")).unwrap();
        assert!(!first.twice);
        assert!(memory.enter(KEY, hash("a")).unwrap().twice);
        assert_eq!(memory.enter(KEY, hash("b")).err(), Some(Reused));
        drop(first);
        assert!(memory.enter(KEY, hash("b")).is_ok(), "the engine never took it");
    }

    #[test]
    fn a_spent_key_stays_taken() {
        let memory = KeyMemory::default();
        memory.enter(KEY, hash("a")).unwrap().remember();
        assert_eq!(memory.enter(KEY, hash("b")).err(), Some(Reused));
        assert!(!memory.enter(KEY, hash("a")).unwrap().twice);
    }
}
