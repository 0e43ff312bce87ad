//! Permits to wait. Each client has a share of them, so that a flood from one leaves some to the
//! others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    auth::Client,
    shares::{Share, Shares},
};

/// Requests that wait at once. More of them are answered without waiting.
const PERMITS_MAX: usize = 1024;
/// Those of one client.
const PERMITS_OF_CLIENT_MAX: usize = 64;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct WaitPermits {
    all: Arc<Semaphore>,
    shares: Shares<Client>,
}

/// Held by a request while it waits; dropping it makes room.
pub(super) struct WaitPermit {
    _permit: OwnedSemaphorePermit,
    _share: Share<Client>,
}

impl Default for WaitPermits {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(PERMITS_MAX)), shares: Shares::default() }
    }
}

impl WaitPermits {
    pub(super) fn take(&self, client: Client) -> Option<WaitPermit> {
        let share = self.shares.take(client, PERMITS_OF_CLIENT_MAX)?;
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(WaitPermit { _permit: permit, _share: share })
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
        assert!(permits.take(client(100)).is_some());
    }
}
