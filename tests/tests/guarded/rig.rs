//! One broker with a door for each way to sign in, and settings of those who come through one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use infra::certificates::Authority;
use infra::config::{self, Layers, Reader, Settings};
use infra::log::kafka::{TopicSpec, ensure_topic};
use stack::detours::Detours;
use stack::down;
use stack::folder::{Folder, workspace};
use stack::guard::{ADMIN, Guard, GuardPorts};
use stack::kafka;
use stack::ports::{Ports, Size};
use stack::state::{Existing, StackState};
use stack::tool::{self, Run};
use tests::harness;
use tokio::sync::{Mutex, MutexGuard};

pub(crate) const EVENTS: &str = "tradewind.events";
pub(crate) const NODES: &str = "tradewind.nodes";

const ACLS: &str = "tests/kafka/Acls.java";
const ACLS_WAIT_MAX: Duration = Duration::from_secs(120);

/// A broker at a time: each takes as much of the machine as all else that a test needs.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) struct Rig {
    folder: Folder,
    guard: Guard,
    open_servers: String,
    authority: Authority,
    _turn: MutexGuard<'static, ()>,
}

/// Settings by their variables.
pub(crate) type Variables = Vec<(String, String)>;

struct OnlyKafka(config::Kafka);

impl Settings for OnlyKafka {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        config::Kafka::read(reader).map(Self)
    }
}

/// As a service would read them.
///
/// # Errors
/// All mistakes.
pub(crate) fn read(variables: Variables) -> Result<config::Kafka, String> {
    let loaded = Layers::default().environment(variables).load::<OnlyKafka>();
    loaded.map(|loaded| loaded.settings.0).map_err(|mistakes| mistakes.to_string())
}

impl Rig {
    /// A broker that knows these users. What a test that was cut off left behind ends first.
    pub(crate) async fn start(name: &str, users: &[&str], jwks: &str) -> Self {
        let turn = TURN.lock().await;
        let folder = Folder::at(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        down::reset(&folder).await.expect("an empty folder");
        folder.create().expect("a folder");
        let authority = Authority::new().expect("an authority");
        let broker = authority.issue("kafka").expect("a certificate");
        let key = broker.key_pem().expect("a key");
        let both = [key, broker.pem().expect("a certificate")].concat();
        let [password, certificate, token] = Ports::more().expect("ports");
        let users = users.iter().chain([&ADMIN]);
        let guard = Guard {
            ports: GuardPorts { password, certificate, token },
            users: users.map(|user| ((*user).to_owned(), password_of(user))).collect(),
            key_file: file(&folder, "broker.pem", &both),
            ca_file: file(&folder, "ca.pem", &authority.pem().expect("a certificate")),
            jwks_file: file(&folder, "jwks.json", jwks.as_bytes()),
        };
        let state = StackState {
            ports: Ports::free(Size::SMALL).expect("ports"),
            topic: EVENTS.to_owned(),
            existing: Existing::default(),
            detours: Detours::default(),
            guard: Some(guard.clone()),
            is_lasting: false,
        };
        state.write(&folder).expect("a state");
        let open_servers = state.bootstrap_servers();
        // Whole before anything runs, so that dropping it ends what has started.
        let rig = Self { folder, guard, open_servers, authority, _turn: turn };
        kafka::start(&rig.folder, &state).await.expect("the broker starts");
        rig
    }

    /// Grants what `lines` say, each the arguments of `kafka-acls.sh` behind those of the connection.
    pub(crate) async fn grant(&self, lines: impl IntoIterator<Item = String>) {
        let admin = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
             ssl.truststore.type=PEM\nssl.truststore.location={}\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
             username=\"{ADMIN}\" password=\"{}\";\n",
            self.guard.ca_file.display(),
            password_of(ADMIN),
        );
        let admin = file(&self.folder, "admin.properties", admin.as_bytes());
        let connection = format!(
            "--bootstrap-server 127.0.0.1:{} --command-config {}",
            self.guard.ports.password,
            admin.display()
        );
        let lines: String =
            lines.into_iter().map(|line| format!("{connection} --add {line}\n")).collect();
        let granted = Run::new(&tool::java().await.expect("Java"))
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
            .arg(format!("{}/*", kafka::fetch().await.expect("Kafka's jars").display()))
            .arg(workspace().join(ACLS))
            .input(&lines)
            .within(ACLS_WAIT_MAX);
        granted.output().await.expect("the ACLs are granted");
    }

    /// The topics of a stack, made by who may do everything.
    pub(crate) async fn make_topics(&self) {
        let (open, (events, nodes)) = (self.open(), specs());
        ensure_topic(&open, EVENTS, events).await.expect("a topic");
        ensure_topic(&open, NODES, nodes).await.expect("a topic");
    }

    pub(crate) fn by_password(&self, user: &str, mechanism: &str) -> Variables {
        let mut variables = self.servers(self.guard.ports.password, "sasl_ssl");
        variables.extend(variables_of(&[
            ("SASL_MECHANISM", mechanism),
            ("SASL_USERNAME", user),
            ("SASL_PASSWORD", &password_of(user)),
        ]));
        variables
    }

    /// Without a certificate of its own, which that door asks for.
    pub(crate) fn by_nothing(&self) -> Variables {
        self.servers(self.guard.ports.certificate, "ssl")
    }

    /// Of the listener that asks nobody for anything.
    pub(crate) fn open(&self) -> config::Kafka {
        config::Kafka::plaintext(&self.open_servers, EVENTS)
    }

    /// With a key that only its password opens.
    pub(crate) fn by_certificate(&self, user: &str) -> Variables {
        let issued = self.authority.issue(user).expect("a certificate");
        let certificate = issued.pem().expect("a certificate");
        let key = issued.encrypted_key_pem("open sesame").expect("a key");
        let certificate = file(&self.folder, &format!("{user}.pem"), &certificate);
        let key = file(&self.folder, &format!("{user}.key"), &key);
        let mut variables = self.by_nothing();
        variables.extend(variables_of(&[
            ("SSL_CERTIFICATE_FILE", &certificate.to_string_lossy()),
            ("SSL_KEY_FILE", &key.to_string_lossy()),
            ("SSL_KEY_PASSWORD", "open sesame"),
        ]));
        variables
    }

    pub(crate) fn by_token(&self, user: &str, token_url: &str, secret: &str) -> Variables {
        let mut variables = self.servers(self.guard.ports.token, "sasl_ssl");
        variables.extend(variables_of(&[
            ("SASL_MECHANISM", "OAUTHBEARER"),
            ("OAUTH_TOKEN_URL", token_url),
            ("OAUTH_CLIENT_ID", user),
            ("OAUTH_CLIENT_SECRET", secret),
            ("OAUTH_SCOPE", "kafka tradewind"),
            ("OAUTH_EXTENSIONS", "tenant=shop"),
        ]));
        variables
    }

    fn servers(&self, port: u16, protocol: &str) -> Variables {
        variables_of(&[
            ("BOOTSTRAP_SERVERS", &format!("127.0.0.1:{port}")),
            ("SECURITY_PROTOCOL", protocol),
            ("SSL_CA_FILE", &self.guard.ca_file.to_string_lossy()),
        ])
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        harness::end(&self.folder);
    }
}

/// Of the topics of events and of nodes.
pub(crate) fn specs() -> (TopicSpec, TopicSpec) {
    let events = TopicSpec::local(2);
    (events, events.of_nodes())
}

fn password_of(user: &str) -> String {
    format!("secret-of-{user}")
}

fn variables_of(pairs: &[(&str, &str)]) -> Variables {
    let named =
        |(key, value): &(&str, &str)| (format!("TRADEWIND_KAFKA__{key}"), (*value).to_owned());
    pairs.iter().map(named).collect()
}

fn file(folder: &Folder, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path("conf").join(name);
    fs::write(&path, content).expect("a file");
    path
}
