//! Who has a unique code: claimed for now, held for good, or free again.
//!
//! An owner claims a code before it comes about. What the owner does with it later confirms the claim;
//! who withdraws or goes frees the code at once. A claim of which nothing more is heard lapses: then
//! somebody has to look whether the owner is there, and confirms or withdraws in its name. So a code
//! never belongs to something that does not exist, whoever died on the way, and one whose owner exists
//! is never given away meanwhile.
//!
//! **Invariant:** at most one owner has a code at a time, and only the one who has it frees it.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

#[cfg(test)]
mod tests;

/// How long a claim waits for its owner. Longer than any request takes; and an owner who comes later,
/// when it has been withdrawn, still gets the code, unless somebody else has it by then.
pub const CONFIRM_WAIT: Duration = Duration::from_secs(60);

/// Owners that have gone and are remembered, the latest: a confirmation of theirs that comes late, past
/// claims of others that came and went, must not bring them back.
const GONE_MAX: usize = 8;

/// The claim of one code by owners that `O` tells apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim<O> {
    standing: Standing<O>,
    /// The oldest first.
    gone: VecDeque<O>,
}

/// Who has the code now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing<O> {
    Free,
    /// For an owner that may not come about.
    Reserved {
        owner: O,
        expires_at: Timestamp,
    },
    /// Nothing was heard of the owner in time: it may be there or not. Nobody else gets the code.
    Lapsed {
        owner: O,
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
    /// Nothing was heard of its owner in time.
    Lapsed {
        owner: O,
    },
}

/// Somebody else has the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

impl<O> Default for Claim<O> {
    fn default() -> Self {
        Standing::Free.into()
    }
}

/// With nobody who has gone.
impl<O> From<Standing<O>> for Claim<O> {
    fn from(standing: Standing<O>) -> Self {
        Self { standing, gone: VecDeque::new() }
    }
}

impl<O: Copy + PartialEq> Claim<O> {
    #[must_use]
    pub const fn standing(&self) -> Standing<O> {
        self.standing
    }

    #[must_use]
    pub const fn owner(&self) -> Option<O> {
        match self.standing {
            Standing::Free => None,
            Standing::Reserved { owner, .. }
            | Standing::Lapsed { owner }
            | Standing::Held { owner } => Some(owner),
        }
    }

    #[must_use]
    pub fn is_held_by(&self, owner: O) -> bool {
        self.standing == Standing::Held { owner }
    }

    /// It is the owner's, and nobody has to look whether the owner is there.
    #[must_use]
    pub fn stands_for(&self, owner: O) -> bool {
        self.owner() == Some(owner) && !matches!(self.standing, Standing::Lapsed { .. })
    }

    /// When it lapses, if it does.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Reserved { expires_at, .. } => Some(expires_at),
            Standing::Free | Standing::Lapsed { .. } | Standing::Held { .. } => None,
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

    /// The owner has come about. One whose claim was withdrawn gets the code all the same, unless
    /// somebody else has it; one that has gone meanwhile gets nothing.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn confirm(&self, owner: O) -> Result<Option<Change<O>>, Taken> {
        match self.owner() {
            Some(known) if known == owner => {
                Ok((!self.is_held_by(owner)).then_some(Change::Confirmed { owner }))
            }
            Some(_) | None if self.gone.contains(&owner) => Ok(None),
            Some(_) => Err(Taken),
            None => Ok(Some(Change::Confirmed { owner })),
        }
    }

    /// The owner does not come about: frees what is not confirmed, and nothing else.
    #[must_use]
    pub fn withdraw(&self, owner: O) -> Option<Change<O>> {
        let is_own = self.owner() == Some(owner) && !self.is_held_by(owner);
        is_own.then_some(Change::Withdrawn { owner })
    }

    /// The owner has gone.
    #[must_use]
    pub fn release(&self, owner: O) -> Option<Change<O>> {
        (self.owner() == Some(owner)).then_some(Change::Released { owner })
    }

    /// Has somebody look after a claim whose time has come.
    #[must_use]
    pub fn lapse(&self, now: Timestamp) -> Option<Change<O>> {
        match self.standing {
            Standing::Reserved { owner, expires_at } if expires_at <= now => {
                Some(Change::Lapsed { owner })
            }
            Standing::Free
            | Standing::Reserved { .. }
            | Standing::Lapsed { .. }
            | Standing::Held { .. } => None,
        }
    }

    /// Copies what happened.
    pub fn evolve(&mut self, change: Change<O>) {
        self.standing = match change {
            Change::Reserved { owner, expires_at } => Standing::Reserved { owner, expires_at },
            Change::Confirmed { owner } => {
                self.gone.retain(|gone| *gone != owner);
                Standing::Held { owner }
            }
            Change::Lapsed { owner } => Standing::Lapsed { owner },
            Change::Released { owner } => {
                self.remember(owner);
                Standing::Free
            }
            Change::Withdrawn { .. } => Standing::Free,
        };
    }

    fn remember(&mut self, gone: O) {
        self.gone.retain(|it| *it != gone);
        if self.gone.len() >= GONE_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back(gone);
    }
}
