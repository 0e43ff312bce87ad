//! How the event log is reached.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{Reader, mistake::is_here, setting::filled};

crate::settings! {
    /// Brokers to begin with, joined by commas.
    BOOTSTRAP_SERVERS = "kafka.bootstrap_servers", "host:port, several joined by commas", None;
    /// The topic of the event log.
    TOPIC = "kafka.topic", "1 to 249 characters of A-Z a-z 0-9 . _ -", Some("tradewind.events");
    /// How records are compressed: lz4 costs the least time in all, zstd the least disk.
    COMPRESSION = "kafka.compression", "none, lz4 or zstd", Some("lz4");
    /// How to talk to the brokers.
    PROTOCOL = "kafka.security_protocol",
        "plaintext, ssl, sasl_plaintext or sasl_ssl", Some("plaintext");
    /// Certificates (PEM) to trust instead of the system's.
    CA_FILE = "kafka.ssl_ca_file", "the path of a file", None;
    /// How to sign in where the protocol is a sasl one.
    MECHANISM = "kafka.sasl_mechanism",
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", Some("SCRAM-SHA-512");
    /// Who signs in.
    USERNAME = "kafka.sasl_username", "a name", None;
    /// The password of who signs in.
    PASSWORD = "kafka.sasl_password", "a password", None;
}

#[derive(Clone, Debug)]
pub struct Kafka {
    pub bootstrap_servers: String,
    pub topic: String,
    pub compression: Compression,
    pub security: KafkaSecurity,
}

/// Of what is written; whatever is read tells itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    None,
    #[default]
    Lz4,
    Zstd,
}

impl Compression {
    /// As librdkafka's `compression.type` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::None, Self::Lz4, Self::Zstd];
        all.into_iter().find(|compression| compression.as_str() == text)
    }
}

#[derive(Clone, Debug, Default)]
pub struct KafkaSecurity {
    pub protocol: KafkaProtocol,
    pub ca_file: Option<PathBuf>,
    /// Present with the sasl protocols.
    pub sasl: Option<KafkaSasl>,
}

#[derive(Clone, Debug)]
pub struct KafkaSasl {
    pub mechanism: String,
    pub username: String,
    pub password: SecretString,
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
}

impl Kafka {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bootstrap_servers = reader.get_with(&BOOTSTRAP_SERVERS, servers);
        let topic = reader.get_with(&TOPIC, topic);
        let compression = reader.get_with(&COMPRESSION, Compression::parse);
        let security = KafkaSecurity::read(reader);
        if let (Some(servers), Some(security)) = (&bootstrap_servers, &security) {
            security.expose_to(servers, reader);
        }
        Some(Self {
            bootstrap_servers: bootstrap_servers?,
            topic: topic?,
            compression: compression?,
            security: security?,
        })
    }

    /// Brokers without encryption or sign-in: for tests and tools on this machine.
    #[must_use]
    pub fn plaintext(bootstrap_servers: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            topic: topic.into(),
            compression: Compression::default(),
            security: KafkaSecurity::default(),
        }
    }
}

impl KafkaSecurity {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let protocol = reader.get_with(&PROTOCOL, KafkaProtocol::parse);
        let ca_file = reader.optional_with(&CA_FILE, |text| Some(PathBuf::from(text)));
        let mechanism = reader.get_with(&MECHANISM, mechanism);
        let username = reader.optional_with(&USERNAME, filled);
        let password = reader.optional_secret(&PASSWORD);
        let sasl = match protocol? {
            KafkaProtocol::Plaintext | KafkaProtocol::Ssl => None,
            KafkaProtocol::SaslPlaintext | KafkaProtocol::SaslSsl => {
                let username = username?.or_else(|| reader.missing(&USERNAME));
                let password = password?.or_else(|| reader.missing(&PASSWORD));
                Some(KafkaSasl { mechanism: mechanism?, username: username?, password: password? })
            }
        };
        Some(Self { protocol: protocol?, ca_file: ca_file?, sasl })
    }

    /// Notes what others can read on the way to brokers on other machines.
    fn expose_to(&self, servers: &str, reader: &mut Reader<'_>) {
        let host =
            |server: &'_ str| server.trim().rsplit_once(':').map(|(host, _)| host.to_owned());
        if servers.split(',').filter_map(host).all(|host| is_here(&host)) {
            return;
        }
        let is_readable = match (self.protocol, &self.sasl) {
            (KafkaProtocol::Ssl | KafkaProtocol::SaslSsl, _) => return,
            (_, Some(sasl)) if sasl.mechanism == "PLAIN" => "the password and all events travel",
            _ => "all events travel",
        };
        reader
            .expose(&PROTOCOL, &format!("{is_readable} unencrypted to brokers on other machines"));
    }
}

fn servers(text: &str) -> Option<String> {
    let valid = text.split(',').all(|server| {
        server.trim().rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    });
    valid.then(|| text.to_owned())
}

fn topic(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let valid = (1..=249).contains(&text.len()) && text.bytes().all(allowed);
    (valid && !matches!(text, "." | "..")).then(|| text.to_owned())
}

fn mechanism(text: &str) -> Option<String> {
    matches!(text, "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512").then(|| text.to_owned())
}
