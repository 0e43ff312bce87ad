//! The command API's settings.

use infra::config::{self, Reader, Setting};
use secrecy::{ExposeSecret, SecretString};

use crate::{engine::Node, payment::WebhookSecret};

const BIND: Setting = config::Http::bind_setting("127.0.0.1:8080");
const OPS_BIND: Setting = config::Http::ops_bind_setting("127.0.0.1:8090");
const NODE_NAME: Setting = Setting {
    key: "node.name",
    doc: "How this node calls itself in its claims.",
    allowed: "1 to 64 characters of A-Z a-z 0-9 . _ -",
    default: Some("command-api"),
};
const NODE_URL: Setting = Setting {
    key: "node.url",
    doc: "Where other nodes reach this one: its listener for operations.",
    allowed: "a URL such as http://10.0.0.5:8090",
    default: Some("http://127.0.0.1:8090"),
};
const PEER_SECRET: Setting = Setting {
    key: "node.peer_secret",
    doc: "Shared by all nodes, which know each other by it. Without it a node stays alone.",
    allowed: "at least 16 characters",
    default: None,
};
const STANDBY_REPLICAS: Setting = Setting {
    key: "node.standby_replicas",
    doc: "How many nodes beside its owner follow a shard, so that one of them takes over without \
          reading what it missed. The same on all nodes.",
    allowed: "a number from 0 to 100",
    default: Some("1"),
};
const NODES_TOPIC: Setting = Setting {
    key: "kafka.nodes_topic",
    doc: "The topic on which nodes tell that they are alive.",
    allowed: "1 to 249 characters of A-Z a-z 0-9 . _ -",
    default: Some("tradewind.nodes"),
};
const PEER_SECRET_BYTES_MIN: usize = 16;
const STANDBY_REPLICAS_MAX: usize = 100;
const SANDBOX_WEBHOOK_SECRET: Setting = Setting {
    key: "payment.sandbox_webhook_secret",
    doc: "Signs the sandbox provider's webhooks. Without it none is believed.",
    allowed: "whsec_ and at least 24 bytes in base64",
    default: None,
};
const PAYMENT_CALLS_MAX: Setting = Setting {
    key: "payment.calls_max",
    doc: "Calls to a payment provider that this node begins at once; as many again may take longer \
          than half a second. More wait 2 s for a place, then the payment is asked for again later.",
    allowed: "a number from 1 to 100000",
    default: Some("1024"),
};
const CALLS_MAX_MAX: usize = 100_000;
const OPEN_CHECKOUTS_MAX: Setting = Setting {
    key: "http.open_checkouts_max",
    doc: "Checkouts that guests behind one address (of IPv6: one /64) may have open at this node, \
          neither confirmed nor rejected and younger than 15 minutes; more get 429. Whoever has a \
          key is not counted.",
    allowed: "a number of at least 1",
    default: Some("2000"),
};

/// Everything that can be set.
#[derive(Clone)]
pub struct Settings {
    pub http: config::Http,
    pub kafka: config::Kafka,
    pub auth: config::Auth,
    pub log: config::Log,
    pub node: Node,
    /// Where and as whom other nodes are met. `None`: this node is alone.
    pub meeting: Option<Meeting>,
    pub store: config::Store,
    pub snapshots: config::Snapshots,
    pub sandbox_webhook_secret: Option<WebhookSecret>,
    pub payment_calls_max: usize,
    pub open_checkouts_max: usize,
}

/// What it takes to share the shards with other nodes.
#[derive(Clone)]
pub struct Meeting {
    pub topic: String,
    pub secret: SecretString,
    /// Nodes beside its owner that follow a shard.
    pub standby_replicas: usize,
}

impl config::Settings for Settings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let within = |max: usize| {
            move |text: &str| text.parse().ok().filter(|number| (1..=max).contains(number))
        };
        infra::read_all! {
            http: config::Http::read(reader, &BIND, &OPS_BIND),
            kafka: config::Kafka::read(reader),
            auth: config::Auth::read(reader),
            log: config::Log::read(reader),
            node: read_node(reader),
            meeting: read_meeting(reader),
            store: config::Store::read(reader),
            snapshots: config::Snapshots::read(reader),
            sandbox_webhook_secret: read_webhook_secret(reader),
            payment_calls_max: reader.get_with(&PAYMENT_CALLS_MAX, within(CALLS_MAX_MAX)),
            open_checkouts_max: reader.get_with(&OPEN_CHECKOUTS_MAX, within(usize::MAX)),
        }
    }
}

/// What it takes to copy the log into a topic with another number of shards.
#[derive(Clone)]
pub struct ReshardSettings {
    pub kafka: config::Kafka,
    /// Where nodes that still run are heard.
    pub meeting: Option<Meeting>,
}

impl config::Settings for ReshardSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        infra::read_all! {
            kafka: config::Kafka::read(reader),
            meeting: read_meeting(reader),
        }
    }
}

fn read_node(reader: &mut Reader<'_>) -> Option<Node> {
    let name = reader.get_with(&NODE_NAME, |text| plain_name(text, 64));
    let url = reader.get_with(&NODE_URL, |text| {
        let uri: axum::http::Uri = text.parse().ok()?;
        (uri.scheme().is_some() && uri.host().is_some()).then(|| text.to_owned())
    });
    Some(Node { name: name?, url: url? })
}

fn plain_name(text: &str, bytes_max: usize) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let valid = (1..=bytes_max).contains(&text.len()) && text.bytes().all(allowed);
    valid.then(|| text.to_owned())
}

fn read_meeting(reader: &mut Reader<'_>) -> Option<Option<Meeting>> {
    let topic = reader.get_with(&NODES_TOPIC, |text| plain_name(text, 249));
    let standby_replicas = reader.get_with(&STANDBY_REPLICAS, |text| {
        text.parse().ok().filter(|replicas| *replicas <= STANDBY_REPLICAS_MAX)
    });
    let secret = reader.optional_secret(&PEER_SECRET)?;
    if secret.as_ref().is_some_and(|secret| secret.expose_secret().len() < PEER_SECRET_BYTES_MIN) {
        return reader.refuse(&PEER_SECRET);
    }
    let (topic, standby_replicas) = (topic?, standby_replicas?);
    Some(secret.map(|secret| Meeting { topic, secret, standby_replicas }))
}

fn read_webhook_secret(reader: &mut Reader<'_>) -> Option<Option<WebhookSecret>> {
    let Some(text) = reader.optional_secret(&SANDBOX_WEBHOOK_SECRET)? else { return Some(None) };
    match WebhookSecret::parse(text.expose_secret()) {
        Ok(secret) => Some(Some(secret)),
        Err(_) => reader.refuse(&SANDBOX_WEBHOOK_SECRET),
    }
}

#[cfg(test)]
mod tests {
    use infra::config::Layers;

    use super::*;

    const NEEDED: [(&str, &str); 2] = [
        ("TRADEWIND_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
        ("TRADEWIND_AUTH__CART_TOKEN_SECRET", "an example that is long enough to pass"),
    ];

    fn load(more: &[(&'static str, &'static str)]) -> Result<Settings, String> {
        let variables = NEEDED.iter().chain(more).copied();
        let loaded = Layers::default().environment(variables).load::<Settings>();
        loaded.map(|loaded| loaded.settings).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn two_settings_are_enough() {
        let settings = load(&[]).map_err(|mistakes| panic!("{mistakes}")).ok().unwrap();
        assert_eq!(settings.http.bind.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.node.name, "command-api");
        assert!(settings.sandbox_webhook_secret.is_none());
    }

    #[test]
    fn mistakes_tell_what_is_allowed_and_no_secret() {
        let mistakes = load(&[
            ("TRADEWIND_NODE__NAME", "a b"),
            ("TRADEWIND_PAYMENT__SANDBOX_WEBHOOK_SECRET", "hunter2"),
        ]);
        let mistakes = mistakes.err().unwrap();
        assert!(mistakes.contains("TRADEWIND_NODE__NAME"), "{mistakes}");
        assert!(mistakes.contains("whsec_ and at least"), "{mistakes}");
        assert!(!mistakes.contains("hunter2"), "{mistakes}");
    }
}
