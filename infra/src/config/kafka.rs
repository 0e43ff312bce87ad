//! How the event log is reached.

mod oauth;
mod sasl;
mod security;
mod tls;

pub use oauth::KafkaOAuth;
pub use sasl::KafkaSasl;
pub use security::{KafkaProtocol, KafkaSecurity};
pub use tls::{KafkaClientKey, KafkaTls};

use super::Reader;

#[cfg(test)]
mod tests;

crate::settings! {
    /// Brokers to begin with, joined by commas.
    BOOTSTRAP_SERVERS = "kafka.bootstrap_servers", "host:port, several joined by commas", None;
    /// The topic of the event log.
    TOPIC = "kafka.topic", "1 to 249 characters of A-Z a-z 0-9 . _ -", Some("tradewind.events");
    /// How records are compressed: lz4 costs the least time in all, zstd the least disk.
    COMPRESSION = "kafka.compression", "none, lz4 or zstd", Some("lz4");
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
