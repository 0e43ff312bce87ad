//! How to sign in to the brokers: with a password, or with a token that somebody else issues.

use secrecy::SecretString;

use super::KafkaOAuth;
use crate::config::{Reader, setting::filled};

crate::settings! {
    /// How to sign in where the protocol is a sasl one.
    MECHANISM = "kafka.sasl_mechanism",
        "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER", Some("SCRAM-SHA-512");
    /// Who signs in, where it is with a password.
    USERNAME = "kafka.sasl_username", "a name", None;
    /// The password of who signs in.
    PASSWORD = "kafka.sasl_password", "a password", None;
}

/// What signs in with a password, by its names in Kafka.
const WITH_PASSWORD: [&str; 3] = [PLAIN, "SCRAM-SHA-256", "SCRAM-SHA-512"];
const PLAIN: &str = "PLAIN";
const OAUTHBEARER: &str = "OAUTHBEARER";

#[derive(Clone, Debug)]
pub enum KafkaSasl {
    Password {
        mechanism: &'static str,
        username: String,
        password: SecretString,
    },
    /// OAUTHBEARER with a token of an OpenID provider.
    Token(KafkaOAuth),
}

#[derive(Clone, Copy)]
enum Mechanism {
    Password(&'static str),
    Token,
}

impl KafkaSasl {
    /// `is_used`: whether the protocol is one that signs in, where it is known. `Some(None)` if not.
    pub(super) fn read(reader: &mut Reader<'_>, is_used: Option<bool>) -> Option<Option<Self>> {
        let mechanism = reader.get_with(&MECHANISM, mechanism);
        let username = reader.optional_with(&USERNAME, filled);
        let password = reader.optional_secret(&PASSWORD);
        let takes_token = is_used
            .zip(mechanism)
            .map(|(is_used, mechanism)| is_used && matches!(mechanism, Mechanism::Token));
        let oauth = KafkaOAuth::read(reader, takes_token);
        if is_used == Some(false) {
            let set = [
                (&USERNAME, username.as_ref()?.is_some()),
                (&PASSWORD, password.as_ref()?.is_some()),
            ];
            for (setting, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                reader.unfit(setting, "only where kafka.security_protocol is a sasl one");
            }
        }
        let sasl = match mechanism.filter(|_| is_used == Some(true)) {
            None => None,
            Some(Mechanism::Password(mechanism)) => {
                let username = username?.or_else(|| reader.missing(&USERNAME));
                let password = password?.or_else(|| reader.missing(&PASSWORD));
                Some(Self::Password { mechanism, username: username?, password: password? })
            }
            Some(Mechanism::Token) => {
                let set = [(&USERNAME, username?.is_some()), (&PASSWORD, password?.is_some())];
                for (setting, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                    reader
                        .unfit(setting, "not with the mechanism OAUTHBEARER, which takes a token");
                }
                return oauth?.map(|oauth| Some(Self::Token(oauth)));
            }
        };
        // A mistake in one of them is one even where it is not used.
        is_used.zip(mechanism).zip(oauth).map(|_| sasl)
    }

    /// What the brokers, and so all who can read along, are shown of our secrets.
    pub(super) fn shown(&self) -> Option<&'static str> {
        match self {
            Self::Password { mechanism, .. } if *mechanism == PLAIN => Some("the password"),
            // A proof, under a salt and a nonce of the server's.
            Self::Password { .. } => None,
            // Whoever has it is us until it expires.
            Self::Token(_) => Some("the token"),
        }
    }
}

fn mechanism(text: &str) -> Option<Mechanism> {
    let with_password = WITH_PASSWORD.into_iter().find(|name| *name == text);
    let with_token = (text == OAUTHBEARER).then_some(Mechanism::Token);
    with_password.map(Mechanism::Password).or(with_token)
}
