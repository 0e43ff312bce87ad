//! The rules of an API key: what was issued stays as it is, and revoking is final.

use crate::{
    aggregate::Decide,
    api_key::{ApiKey, Command, Event, Issued, Rejection},
    timestamp::Timestamp,
};

impl Decide for ApiKey {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command.clone() {
            Command::Issue { name, roles, hash, expires_at } => {
                self.issue(Issued { name, roles, hash, expires_at }, now)
            }
            Command::Revoke if self.issued.is_none() => Err(Rejection::NotFound),
            Command::Revoke if self.revoked => Ok(vec![]),
            Command::Revoke => Ok(vec![Event::Revoked {}]),
        }
    }
}

impl ApiKey {
    fn issue(&self, wanted: Issued, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match &self.issued {
            Some(issued) if *issued == wanted => return Ok(vec![]),
            Some(_) => return Err(Rejection::Exists),
            None => {}
        }
        let Issued { name, roles, hash, expires_at } = wanted;
        if name.trim().is_empty() {
            return Err(Rejection::NameEmpty);
        }
        if roles.is_empty() {
            return Err(Rejection::RolesEmpty);
        }
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Rejection::ExpiresInPast);
        }
        Ok(vec![Event::Issued { name, roles, hash, expires_at }])
    }
}
