//! Who has a unique code: claimed for now, held for good, or free again.
//!
//! An owner claims a code before it comes about, and confirms the claim when it has. A claim that
//! nobody confirms runs out; who withdraws or goes frees the code at once. So a code never belongs
//! to something that does not exist, whoever died on the way.
//!
//! **Invariant:** at most one owner has a code at a time, and only the one who has it frees it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

#[cfg(test)]
mod tests;

/// How long a claim waits for its owner. Longer than any request takes; and an owner who comes later
/// still gets the code, unless somebody else has it by then.
pub const CONFIRM_WAIT: Duration = Duration::from_secs(60);

/// The claim of one code by owners that `O` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim<O> {
    /// `gone` had it last, and a confirmation of it that comes late must not bring it back.
    Free {
        gone: Option<O>,
    },
    /// For an owner that may not come about.
    Reserved {
        owner: O,
        expires_at: Timestamp,
    },
    Held {
        owner: O,
    },
}

/// What happens to a claim. An aggregate stores it in an event of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<O> {
    Reserved {
        owner: O,
        expires_at: Timestamp,
    },
    Confirmed {
        owner: O,
    },
    /// Its owner does not come about.
    Withdrawn {
        owner: O,
    },
    /// Its owner has gone.
    Released {
        owner: O,
    },
    /// Its owner has not come about in time.
    Expired {
        owner: O,
    },
}

/// Somebody else has the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

impl<O> Default for Claim<O> {
    fn default() -> Self {
        Self::Free { gone: None }
    }
}

impl<O: Copy + PartialEq> Claim<O> {
    #[must_use]
    pub const fn owner(&self) -> Option<O> {
        match self {
            Self::Free { .. } => None,
            Self::Reserved { owner, .. } | Self::Held { owner } => Some(*owner),
        }
    }

    #[must_use]
    pub fn is_held_by(&self, owner: O) -> bool {
        matches!(self, Self::Held { owner: held } if *held == owner)
    }

    /// When it runs out, if it does.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Reserved { expires_at, .. } => Some(*expires_at),
            Self::Free { .. } | Self::Held { .. } => None,
        }
    }

    /// Claims the code for an owner that is about to come.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn reserve(&self, owner: O, now: Timestamp) -> Result<Option<Change<O>>, Taken> {
        match self.owner() {
            None => {
                let expires_at = now.plus(CONFIRM_WAIT);
                Ok(Some(Change::Reserved { owner, expires_at }))
            }
            Some(other) if other != owner => Err(Taken),
            Some(_) => Ok(None),
        }
    }

    /// The owner has come about. One whose claim has run out gets the code all the same, unless
    /// somebody else has it; one that has gone meanwhile gets nothing.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn confirm(&self, owner: O) -> Result<Option<Change<O>>, Taken> {
        match self {
            Self::Free { gone: Some(gone) } if *gone == owner => Ok(None),
            Self::Held { owner: held } if *held == owner => Ok(None),
            Self::Reserved { owner: other, .. } | Self::Held { owner: other }
                if *other != owner =>
            {
                Err(Taken)
            }
            Self::Free { .. } | Self::Reserved { .. } | Self::Held { .. } => {
                Ok(Some(Change::Confirmed { owner }))
            }
        }
    }

    /// The owner does not come about: frees what is not confirmed, and nothing else.
    #[must_use]
    pub fn withdraw(&self, owner: O) -> Option<Change<O>> {
        let is_own = matches!(self, Self::Reserved { owner: other, .. } if *other == owner);
        is_own.then_some(Change::Withdrawn { owner })
    }

    /// The owner has gone.
    #[must_use]
    pub fn release(&self, owner: O) -> Option<Change<O>> {
        (self.owner() == Some(owner)).then_some(Change::Released { owner })
    }

    /// Frees a claim whose time has come.
    #[must_use]
    pub fn expire(&self, now: Timestamp) -> Option<Change<O>> {
        match *self {
            Self::Reserved { owner, expires_at } if expires_at <= now => {
                Some(Change::Expired { owner })
            }
            Self::Free { .. } | Self::Reserved { .. } | Self::Held { .. } => None,
        }
    }

    /// Copies what happened.
    pub fn evolve(&mut self, change: Change<O>) {
        *self = match change {
            Change::Reserved { owner, expires_at } => Self::Reserved { owner, expires_at },
            Change::Confirmed { owner } => Self::Held { owner },
            Change::Released { owner } => Self::Free { gone: Some(owner) },
            Change::Withdrawn { .. } | Change::Expired { .. } => Self::default(),
        };
    }
}
