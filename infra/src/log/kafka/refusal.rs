//! What the brokers refuse, told so that an operator can mend it: Kafka says that something is not
//! allowed, and only who asked knows what that was.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::time::Instant;

use crate::log::BoxError;

/// What is refused is asked again and again, and told this often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The ACL that is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("the brokers refuse it: the service's user needs the ACL {operation} on {resource}")]
pub struct Denied {
    operation: &'static str,
    resource: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("there is no topic {0:?}")]
    NoTopic(String),
    /// Somebody has to grant something.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The sign-in or the certificates do not suit the brokers, or these do not suit us.
    #[error("the brokers and this service do not come together: {0}")]
    Refused(String),
    /// The brokers may come back.
    #[error("the brokers do not answer")]
    Unavailable(#[source] BoxError),
}

/// The operations that a client asks for, and on what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    topic: (&'static str, &'a str),
    group: Option<(&'static str, &'a str)>,
}

impl<'a> Asked<'a> {
    /// Whoever reaches a log reads it, and who may read a topic may see it.
    pub(crate) const fn reaching(topic: &'a str) -> Self {
        Self { topic: ("Read", topic), group: None }
    }

    pub(crate) const fn describing(topic: &'a str) -> Self {
        Self { topic: ("Describe", topic), group: None }
    }

    pub(crate) const fn describing_settings(topic: &'a str) -> Self {
        Self { topic: ("DescribeConfigs", topic), group: None }
    }

    pub(crate) const fn creating(topic: &'a str) -> Self {
        Self { topic: ("Create", topic), group: None }
    }

    pub(crate) const fn writing(topic: &'a str) -> Self {
        Self { topic: ("Write", topic), group: None }
    }

    /// `group` is the name that a consumer goes by which joins none.
    pub(crate) const fn reading(topic: &'a str, group: &'a str) -> Self {
        Self { topic: ("Read", topic), group: Some(("Describe", group)) }
    }

    /// Keeping offsets in a group.
    pub(crate) const fn following(topic: &'a str, group: &'a str) -> Self {
        Self { topic: ("Read", topic), group: Some(("Read", group)) }
    }

    /// What is missing, if it is that.
    pub(crate) fn denied(self, error: &KafkaError) -> Option<Denied> {
        self.denied_by(error.rdkafka_error_code()?)
    }

    pub(crate) fn denied_by(self, code: Code) -> Option<Denied> {
        let (operation, kind, name) = match (code, self) {
            // A producer gets its id with the right to write to any topic.
            (
                Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed,
                Self { topic: (operation, name), .. },
            ) => (operation, "topic", name),
            (Code::GroupAuthorizationFailed, Self { group: Some((operation, name)), .. }) => {
                (operation, "group", name)
            }
            _ => return None,
        };
        Some(Denied { operation, resource: format!("{kind} {name:?}") })
    }
}

impl Denied {
    /// Tells it where nobody waits for an answer that could.
    pub(crate) fn tell(&self) {
        static TOLD: Mutex<BTreeMap<Denied, Instant>> = Mutex::new(BTreeMap::new());
        let now = Instant::now();
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(self).is_none_or(|at| now.saturating_duration_since(*at) >= TOLD_EVERY) {
            told.insert(self.clone(), now);
            tracing::error!("{self}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_by_the_right_that_is_missing() {
        let check = |asked: Asked<'_>, code, expected: Option<&str>| {
            let denied = asked.denied(&KafkaError::MessageConsumption(code));
            let told = denied.map(|denied| denied.to_string());
            let needed = expected.map(|acl| {
                format!("the brokers refuse it: the service's user needs the ACL {acl}")
            });
            assert_eq!(told, needed);
        };
        let reading = Asked::reading("events", "readers");
        check(reading, Code::TopicAuthorizationFailed, Some("Read on topic \"events\""));
        check(reading, Code::GroupAuthorizationFailed, Some("Describe on group \"readers\""));
        check(reading, Code::BrokerTransportFailure, None);
        let following = Asked::following("events", "process");
        check(following, Code::GroupAuthorizationFailed, Some("Read on group \"process\""));
        let writing = Asked::writing("events");
        check(writing, Code::ClusterAuthorizationFailed, Some("Write on topic \"events\""));
        check(writing, Code::GroupAuthorizationFailed, None);
    }
}
