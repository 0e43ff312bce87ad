//! Permits to wait. Each client has a share of them, so that a flood from one leaves some to the
//! others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::auth::Client;

/// Requests that wait at once. More of them are answered without waiting.
const PERMITS_MAX: usize = 1024;
/// Those of one client.
const PERMITS_OF_CLIENT_MAX: usize = 64;

/// Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct WaitPermits(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_client: FxHashMap<Client, usize>,
}

/// Held by a request while it waits; dropping it makes room.
pub(super) struct WaitPermit {
    permits: WaitPermits,
    client: Client,
}

impl WaitPermits {
    pub(super) fn take(&self, client: Client) -> Option<WaitPermit> {
        let mut taken = self.lock();
        let own = taken.by_client.get(&client).copied().unwrap_or_default();
        if taken.all >= PERMITS_MAX || own >= PERMITS_OF_CLIENT_MAX {
            return None;
        }
        taken.all += 1;
        taken.by_client.insert(client, own + 1);
        drop(taken);
        Some(WaitPermit { permits: self.clone(), client })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitPermit {
    fn drop(&mut self) {
        let mut taken = self.permits.lock();
        taken.all -= 1;
        if let Some(own) = taken.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn client(number: usize) -> Client {
        let address = Ipv4Addr::from(u32::try_from(number).unwrap());
        Client::Network(IpAddr::from(address).into())
    }

    #[test]
    fn a_flood_from_one_client_leaves_permits_to_the_others() {
        let permits = WaitPermits::default();
        let flood: Vec<_> = (0..PERMITS_MAX).filter_map(|_| permits.take(client(0))).collect();
        assert_eq!(flood.len(), PERMITS_OF_CLIENT_MAX);
        let others: Vec<_> = (1..=200).map(|number| permits.take(client(number))).collect();
        assert!(others.iter().all(Option::is_some));
        drop(flood);
        assert!(permits.take(client(0)).is_some(), "those that have gone made room");
    }

    #[test]
    fn all_clients_together_have_a_limit_too() {
        let permits = WaitPermits::default();
        let taken: Vec<_> =
            (0..PERMITS_MAX).filter_map(|number| permits.take(client(number % 100))).collect();
        assert_eq!(taken.len(), PERMITS_MAX);
        assert!(permits.take(client(100)).is_none());
        drop(taken);
        assert!(permits.lock().by_client.is_empty());
    }
}
