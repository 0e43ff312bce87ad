//! Who may wait: of the places that there are for all, each client has a share, so that a flood from
//! one leaves places to the others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::auth::Client;

/// Requests that wait at once. More of them are told to come back.
const PLACES_MAX: usize = 1024;
/// Those of one client.
const PLACES_OF_CLIENT_MAX: usize = 64;

/// Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_client: FxHashMap<Client, usize>,
}

/// A request that waits; dropping it makes room.
pub(super) struct Place {
    places: Places,
    client: Client,
}

impl Places {
    pub(super) fn enter(&self, client: Client) -> Option<Place> {
        let mut taken = self.lock();
        let own = taken.by_client.get(&client).copied().unwrap_or_default();
        if taken.all >= PLACES_MAX || own >= PLACES_OF_CLIENT_MAX {
            return None;
        }
        taken.all += 1;
        taken.by_client.insert(client, own + 1);
        drop(taken);
        Some(Place { places: self.clone(), client })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
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
    fn a_flood_from_one_client_leaves_places_to_the_others() {
        let places = Places::default();
        let flood: Vec<_> = (0..PLACES_MAX).filter_map(|_| places.enter(client(0))).collect();
        assert_eq!(flood.len(), PLACES_OF_CLIENT_MAX);
        let others: Vec<_> = (1..=200).map(|number| places.enter(client(number))).collect();
        assert!(others.iter().all(Option::is_some));
        drop(flood);
        assert!(places.enter(client(0)).is_some(), "those that have gone made room");
    }

    #[test]
    fn all_clients_together_have_a_limit_too() {
        let places = Places::default();
        let taken: Vec<_> =
            (0..PLACES_MAX).filter_map(|number| places.enter(client(number % 100))).collect();
        assert_eq!(taken.len(), PLACES_MAX);
        assert!(places.enter(client(100)).is_none());
        drop(taken);
        assert!(places.lock().by_client.is_empty());
    }
}
