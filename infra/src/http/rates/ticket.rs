//! What a request carries from the door to where its caller is known, and back.

use std::{
    hash::BuildHasher,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};

use super::{
    bucket::{Empty, Standing},
    limiter::{Charge, Judgement, Limiter},
};
use crate::{
    auth::Caller,
    http::{client::Network, events::RequestThrottled, problem::Problem},
    telemetry::emit,
};

/// `draft-ietf-httpapi-ratelimit-headers-10`
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Of one request. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ticket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limiter: Arc<Limiter>,
    charge: Charge,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    standing: Option<Standing>,
    /// Somebody has looked at the key.
    looked: bool,
    /// And it is known whether it holds.
    judged: bool,
}

impl Limiter {
    /// Lets a request in as far as it is known before anybody has looked at its key. The ticket goes
    /// with it.
    pub(in crate::http) fn enter(
        self: &Arc<Self>,
        request: &Request,
        weight: u32,
    ) -> (Ticket, Option<Problem>) {
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let address = address.map(|ConnectInfo(address)| Network::from(address.ip()));
        let key = request.headers().get(header::AUTHORIZATION);
        let key = key.map(|key| self.hasher.hash_one(key.as_bytes()));
        let (guess, entered) = match key {
            Some(key) => match self.suspect(key, address) {
                Ok(guess) => (guess, Ok(None)),
                Err(empty) => (None, Err(empty)),
            },
            None => (None, self.guest(address, request.headers(), weight)),
        };
        let ticket = Ticket::new(Arc::clone(self), Charge { address, weight, key, guess });
        let refused = ticket.note(entered);
        (ticket, refused)
    }
}

impl Ticket {
    fn new(limiter: Arc<Limiter>, charge: Charge) -> Self {
        Self(Arc::new(Inner { limiter, charge, state: Mutex::default() }))
    }

    /// Takes note of what has come of the key: a caller who has used up what it may ask is refused.
    /// Whoever looks again pays nothing.
    ///
    /// # Errors
    /// 429, or the problem that there is.
    pub fn judge(&self, found: Result<Caller, Problem>) -> Result<Caller, Problem> {
        let Inner { limiter, charge, .. } = &*self.0;
        let Charge { weight, key: Some(key), .. } = charge else { return found };
        if std::mem::replace(&mut self.state().looked, true) {
            return found;
        }
        match &found {
            Ok(caller) => {
                self.state().judged = true;
                if limiter.judged.get(key) != Some(Judgement::Holds) {
                    limiter.judged.insert(*key, Judgement::Holds);
                }
                match self.note(limiter.holder(caller, *weight)) {
                    Some(refused) => Err(refused),
                    None => found,
                }
            }
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
                self.state().judged = true;
                limiter.judged.insert(*key, Judgement::Wrong);
                found
            }
            Err(_) => match self.note(limiter.unjudged(charge)) {
                Some(refused) => Err(refused),
                None => found,
            },
        }
    }

    fn note(&self, taken: Result<Option<Standing>, Empty>) -> Option<Problem> {
        let (standing, refused) = match taken {
            Ok(standing) => (standing, None),
            Err(Empty(standing)) => {
                emit(RequestThrottled { policy: standing.name });
                let wait = whole_seconds(standing.wait);
                (Some(standing), Some(Problem::rate_limited(wait)))
            }
        };
        if standing.is_some() {
            self.state().standing = standing;
        }
        refused
    }

    /// Tells the client how it stands, with its answer.
    pub(in crate::http) fn end(self, headers: &mut HeaderMap) {
        let mut state = self.state();
        if let Some(Standing { name, policy, remaining, wait }) = state.standing.take() {
            headers.insert(RATE_LIMIT_POLICY, policy);
            let wait = whole_seconds(wait).as_secs();
            // A name and digits always make a header.
            if let Ok(told) = HeaderValue::try_from(format!("\"{name}\";r={remaining};t={wait}")) {
                headers.insert(RATE_LIMIT, told);
            }
        }
        // Where nobody looks at keys, or can tell, none has been paid for.
        if let (Some(key), false) = (&self.0.charge.key, state.judged) {
            self.0.limiter.judged.remove_if(key, |it| *it == Judgement::Pending);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounded up: whoever waits that long does not come too early.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}
