//! What a request carries from the door to where its caller is known, and back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Empty, Judgement, Limiter, Standing};
use crate::{
    auth::Caller,
    http::{events::RequestThrottled, problem::Problem},
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
    weight: u32,
    /// Hash of what it brings as a key.
    key: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    standing: Option<Standing>,
    /// Somebody has looked at the key.
    judged: bool,
}

impl Ticket {
    pub(super) fn new(limiter: Arc<Limiter>, weight: u32, key: Option<u64>) -> Self {
        Self(Arc::new(Inner { limiter, weight, key, state: Mutex::default() }))
    }

    /// Takes note of what has come of the key: a caller who has used up what it may ask is refused.
    /// Whoever looks again pays nothing.
    ///
    /// # Errors
    /// 429, or the problem that there is.
    pub fn judge(&self, found: Result<Caller, Problem>) -> Result<Caller, Problem> {
        let Inner { limiter, weight, key: Some(key), .. } = &*self.0 else { return found };
        if self.state().judged {
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
            Err(_) => found,
        }
    }

    pub(super) fn note(&self, taken: Result<Option<Standing>, Empty>) -> Option<Problem> {
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
        // Where nobody looks at keys, none has been paid for.
        if let (Some(key), false) = (&self.0.key, state.judged) {
            self.0.limiter.judged.remove_if(key, |it| *it == Judgement::Asked);
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
