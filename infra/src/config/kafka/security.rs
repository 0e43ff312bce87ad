//! What protects the way to the brokers, and who we are to them.

use super::{KafkaSasl, KafkaTls};
use crate::config::{Reader, mistake::is_here};

crate::settings! {
    /// How to talk to the brokers.
    PROTOCOL = "kafka.security_protocol",
        "plaintext, ssl, sasl_plaintext or sasl_ssl", Some("plaintext");
}

#[derive(Clone, Debug, Default)]
pub struct KafkaSecurity {
    pub protocol: KafkaProtocol,
    /// Present with the ssl protocols.
    pub tls: Option<KafkaTls>,
    /// Present with the sasl protocols.
    pub sasl: Option<KafkaSasl>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KafkaProtocol {
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl KafkaProtocol {
    /// As librdkafka's `security.protocol` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];
        all.into_iter().find(|protocol| protocol.as_str() == text)
    }

    const fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    const fn signs_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl KafkaSecurity {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let protocol = reader.get_with(&PROTOCOL, KafkaProtocol::parse);
        // Of a protocol that is none, nothing is said about what goes with it.
        let tls = KafkaTls::read(reader, protocol.map(KafkaProtocol::is_encrypted));
        let sasl = KafkaSasl::read(reader, protocol.map(KafkaProtocol::signs_in));
        Some(Self { protocol: protocol?, tls: tls?, sasl: sasl? })
    }

    /// Notes what others can read on the way to brokers on other machines.
    pub(super) fn expose_to(&self, servers: &str, reader: &mut Reader<'_>) {
        let host =
            |server: &'_ str| server.trim().rsplit_once(':').map(|(host, _)| host.to_owned());
        let are_here = servers.split(',').filter_map(host).all(|host| is_here(&host));
        if are_here || self.protocol.is_encrypted() {
            return;
        }
        let is_readable = match self.sasl.as_ref().and_then(KafkaSasl::shown) {
            Some(secret) => format!("{secret} and all events travel"),
            None => "all events travel".to_owned(),
        };
        reader
            .expose(&PROTOCOL, &format!("{is_readable} unencrypted to brokers on other machines"));
    }
}
