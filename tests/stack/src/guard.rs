//! A broker that lets in only who signs in, and lets nobody do what was not granted. Only a stack that
//! is to show that services live with it has one.
//!
//! It has a listener for each way to sign in. Those that every broker has stay as they are, for the
//! brokers among each other and for whoever looks whether it runs: on them everybody is `ANONYMOUS`, who
//! may do everything, as [`ADMIN`] may.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A user that may do everything.
pub const ADMIN: &str = "admin";

/// Where Kafka's classes for signing in are.
const SECURITY: &str = "org.apache.kafka.common.security";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    pub ports: GuardPorts,
    /// Passwords by name, [`ADMIN`]'s among them. PLAIN and SCRAM know the same ones.
    pub users: BTreeMap<String, String>,
    /// The broker's key and certificate, both in one file (PEM).
    pub key_file: PathBuf,
    /// Who issues the certificates of the broker and of clients (PEM).
    pub ca_file: PathBuf,
    /// The keys of who issues tokens (JWKS).
    pub jwks_file: PathBuf,
}

/// The ports of the listeners, by what they ask for. All speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardPorts {
    pub password: u16,
    pub certificate: u16,
    pub token: u16,
}

impl Guard {
    /// Name, port and protocol of each listener.
    pub(crate) fn listeners(&self) -> [(&'static str, u16, &'static str); 3] {
        [
            ("PASSWORD", self.ports.password, "SASL_SSL"),
            ("CERTIFICATE", self.ports.certificate, "SSL"),
            ("TOKEN", self.ports.token, "SASL_SSL"),
        ]
    }

    /// Lines for the broker's settings.
    pub(crate) fn properties(&self) -> String {
        let mut plain = format!("{SECURITY}.plain.PlainLoginModule required");
        for (user, password) in &self.users {
            let written = write!(plain, " user_{user}=\"{password}\"");
            debug_assert!(written.is_ok(), "a String takes any text");
        }
        format!(
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             allow.everyone.if.no.acl.found=false\n\
             super.users=User:{ADMIN};User:ANONYMOUS\n\
             ssl.keystore.type=PEM\n\
             ssl.keystore.location={key}\n\
             ssl.truststore.type=PEM\n\
             ssl.truststore.location={ca}\n\
             # Who has a certificate goes by its name.\n\
             ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/,DEFAULT\n\
             listener.name.certificate.ssl.client.auth=required\n\
             listener.name.password.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.password.plain.sasl.jaas.config={plain};\n\
             listener.name.password.scram-sha-256.sasl.jaas.config={scram}\n\
             listener.name.password.scram-sha-512.sasl.jaas.config={scram}\n\
             listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER\n\
             listener.name.token.oauthbearer.sasl.jaas.config={SECURITY}.oauthbearer.OAuthBearerLoginModule required;\n\
             listener.name.token.oauthbearer.sasl.server.callback.handler.class={SECURITY}.oauthbearer.OAuthBearerValidatorCallbackHandler\n\
             # Whose token has expired must bring another one.\n\
             listener.name.token.oauthbearer.connections.max.reauth.ms=3600000\n\
             sasl.oauthbearer.jwks.endpoint.url={jwks}\n\
             sasl.oauthbearer.expected.issuer=tests\n\
             sasl.oauthbearer.expected.audience=kafka\n",
            key = self.key_file.display(),
            ca = self.ca_file.display(),
            scram = format_args!("{SECURITY}.scram.ScramLoginModule required;"),
            jwks = self.jwks_url(),
        )
    }

    /// What the users are told to the storage by, when it is formatted.
    pub(crate) fn format_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        for (user, password) in &self.users {
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                args.push("--add-scram".to_owned());
                args.push(format!("{mechanism}=[name={user},password={password}]"));
            }
        }
        args
    }

    /// Kafka reads keys of issuers from nowhere else.
    pub(crate) fn jvm_args(&self) -> [String; 2] {
        let jwks = self.jwks_url();
        [
            format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks}"),
            format!(
                "-Dorg.apache.kafka.sasl.oauthbearer.allowed.files={}",
                self.jwks_file.display()
            ),
        ]
    }

    fn jwks_url(&self) -> String {
        format!("file://{}", self.jwks_file.display())
    }
}
