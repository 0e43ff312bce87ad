//! Where a token to sign in with comes from: an OpenID provider, by the flow of client credentials.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::tls::certificates;
use crate::config::{Reader, mistake::is_here, setting::filled};

crate::settings! {
    /// Where tokens are issued, for the mechanism OAUTHBEARER.
    TOKEN_URL = "kafka.oauth_token_url",
        "a URL such as https://id.example.org/oauth2/token", None;
    /// Who asks for a token.
    CLIENT_ID = "kafka.oauth_client_id", "a name", None;
    /// The secret of who asks for a token.
    CLIENT_SECRET = "kafka.oauth_client_secret", "a secret", None;
    /// What the token is to be good for, if the issuer wants to be told.
    SCOPE = "kafka.oauth_scope", "names with spaces between them", None;
    /// What the brokers are told beside the token (SASL extensions).
    EXTENSIONS = "kafka.oauth_extensions",
        "name=value, several joined by commas, names of letters alone", None;
    /// Certificates (PEM) to trust at the issuer of tokens instead of the system's.
    CA_FILE = "kafka.oauth_ca_file", "the path of a file", None;
}

#[derive(Clone, Debug)]
pub struct KafkaOAuth {
    pub token_url: Url,
    pub client_id: String,
    pub client_secret: SecretString,
    pub scope: Option<String>,
    /// As librdkafka wants them: `name=value,name=value`.
    pub extensions: Option<String>,
    pub ca_file: Option<PathBuf>,
}

impl KafkaOAuth {
    /// `is_used`: whether the mechanism is the one of tokens, where it is known. `Some(None)` if not.
    pub(super) fn read(reader: &mut Reader<'_>, is_used: Option<bool>) -> Option<Option<Self>> {
        let token_url = reader.optional_with(&TOKEN_URL, url);
        let client_id = reader.optional_with(&CLIENT_ID, filled);
        let client_secret = reader.optional_secret(&CLIENT_SECRET);
        let scope = reader.optional_with(&SCOPE, filled);
        let extensions = reader.optional_with(&EXTENSIONS, extensions);
        let ca_file = reader.optional_with(&CA_FILE, |text| filled(text).map(PathBuf::from));
        let (token_url, client_id, client_secret) = (token_url?, client_id?, client_secret?);
        let (scope, extensions, ca_file) = (scope?, extensions?, ca_file?);
        if !is_used? {
            let set = [
                (&TOKEN_URL, token_url.is_some()),
                (&CLIENT_ID, client_id.is_some()),
                (&CLIENT_SECRET, client_secret.is_some()),
                (&SCOPE, scope.is_some()),
                (&EXTENSIONS, extensions.is_some()),
                (&CA_FILE, ca_file.is_some()),
            ];
            for (setting, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                let needed = "only where kafka.security_protocol is a sasl one and \
                              kafka.sasl_mechanism is OAUTHBEARER";
                reader.unfit(setting, needed);
            }
            return Some(None);
        }
        let ca_is_fit = match &ca_file {
            Some(file) => certificates(reader, &CA_FILE, file).map(drop),
            None => Some(()),
        };
        let token_url = token_url.or_else(|| reader.missing(&TOKEN_URL));
        let client_id = client_id.or_else(|| reader.missing(&CLIENT_ID));
        let client_secret = client_secret.or_else(|| reader.missing(&CLIENT_SECRET));
        if let Some(url) = token_url.as_ref().filter(|url| url.scheme() == "http")
            && !url.host_str().is_some_and(is_here)
        {
            let what = "the client's secret and the tokens travel unencrypted to another machine";
            reader.expose(&TOKEN_URL, what);
        }
        ca_is_fit?;
        Some(Some(Self {
            token_url: token_url?,
            client_id: client_id?,
            client_secret: client_secret?,
            scope,
            extensions,
            ca_file,
        }))
    }
}

fn url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    // A secret in a URL would be shown wherever the URL is.
    let is_open = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_open).then_some(url)
}

/// As RFC 7628 has them; `auth` is the name of the token itself.
fn extensions(text: &str) -> Option<String> {
    let is_name = |name: &str| {
        !name.is_empty() && name != "auth" && name.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let is_value =
        |value: &str| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    let mut pairs = text.split(',').map(|pair| pair.split_once('='));
    let are_pairs = pairs.all(|pair| pair.is_some_and(|(n, value)| is_name(n) && is_value(value)));
    are_pairs.then(|| text.to_owned())
}
