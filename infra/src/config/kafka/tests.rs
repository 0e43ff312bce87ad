use std::{
    fs,
    path::{Path, PathBuf},
};

use expect_test::{Expect, expect};

use super::*;
use crate::{
    certificates::{Authority, Issued},
    config::{Layers, Loaded, Settings},
};

#[derive(Debug)]
struct OnlyKafka(Kafka);

impl Settings for OnlyKafka {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Kafka::read(reader).map(Self)
    }
}

const FAR: &str = "kafka.example:9093";

/// Settings by the names of their keys.
fn load(pairs: &[(&str, &str)]) -> Result<Loaded<OnlyKafka>, String> {
    let mut variables = vec![("TRADEWIND_KAFKA__BOOTSTRAP_SERVERS".to_owned(), FAR.to_owned())];
    for (key, value) in pairs {
        let name = format!("TRADEWIND_{}", key.replacen('.', "__", 1).to_uppercase());
        variables.push((name, (*value).to_owned()));
    }
    let loaded = Layers::default().environment(variables).load();
    loaded.map_err(|mistakes| mistakes.to_string())
}

#[track_caller]
fn check(pairs: &[(&str, &str)], expected: &Expect) {
    let told = match load(pairs) {
        Ok(_) => "no mistake".to_owned(),
        Err(mistakes) => mistakes.replace(&*folder().to_string_lossy(), "…"),
    };
    expected.assert_eq(&told);
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("tradewind-kafka-settings-{}", std::process::id()))
}

fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder().join(name);
    fs::create_dir_all(folder()).expect("a folder");
    fs::write(&path, content).expect("a file");
    path.to_string_lossy().into_owned()
}

fn issued(name: &str) -> Issued {
    let authority = Authority::new().expect("an authority");
    authority.issue(name).expect("a certificate")
}

#[test]
fn a_client_certificate_comes_with_its_key() {
    let (own, other) = (issued("own"), issued("other"));
    let certificate = file("own.pem", own.pem().expect("PEM"));
    let key = file("own.key", own.key_pem().expect("PEM"));
    let other = file("other.key", other.key_pem().expect("PEM"));
    let ssl = ("kafka.security_protocol", "ssl");
    let chain = ("kafka.ssl_certificate_file", &*certificate);
    let loaded = load(&[ssl, chain, ("kafka.ssl_key_file", &key)]).expect("no mistake");
    let client = loaded.settings.0.security.tls.and_then(|tls| tls.client).expect("a client's key");
    assert_eq!(client.certificate_file, Path::new(&certificate));
    check(
        &[ssl, chain],
        &expect![[r#"
        1 mistake in the settings
          TRADEWIND_KAFKA__SSL_KEY_FILE: missing; set it to the path of a file, together with kafka.ssl_certificate_file"#]],
    );
    check(
        &[ssl, ("kafka.ssl_key_file", &key)],
        &expect![[r#"
        1 mistake in the settings
          TRADEWIND_KAFKA__SSL_CERTIFICATE_FILE: missing; set it to the path of a file, together with kafka.ssl_key_file"#]],
    );
    check(
        &[ssl, chain, ("kafka.ssl_key_file", &other)],
        &expect![[r#"
        1 mistake in the settings
          TRADEWIND_KAFKA__SSL_KEY_FILE: is not the key of the certificate in kafka.ssl_certificate_file"#]],
    );
    check(
        &[chain, ("kafka.ssl_key_file", &key)],
        &expect![[r#"
        2 mistakes in the settings
          TRADEWIND_KAFKA__SSL_CERTIFICATE_FILE: only where kafka.security_protocol is ssl or sasl_ssl
          TRADEWIND_KAFKA__SSL_KEY_FILE: only where kafka.security_protocol is ssl or sasl_ssl"#]],
    );
}

#[test]
fn what_certificate_files_hold_is_read_at_the_start() {
    let own = issued("own");
    let certificate = file("mine.pem", own.pem().expect("PEM"));
    let key = file("mine.key", own.key_pem().expect("PEM"));
    let nowhere = folder().join("nowhere").to_string_lossy().into_owned();
    let ssl = ("kafka.security_protocol", "ssl");
    check(
        &[
            ssl,
            ("kafka.ssl_ca_file", &key),
            ("kafka.ssl_certificate_file", &nowhere),
            ("kafka.ssl_key_file", &certificate),
        ],
        &expect![[r#"
            3 mistakes in the settings
              TRADEWIND_KAFKA__SSL_CA_FILE: …/mine.key holds no certificate in PEM
              TRADEWIND_KAFKA__SSL_CERTIFICATE_FILE: …/nowhere cannot be read: No such file or directory (os error 2)
              TRADEWIND_KAFKA__SSL_KEY_FILE: …/mine.pem holds no key in PEM"#]],
    );
}

#[test]
fn an_encrypted_key_is_opened_by_its_password() {
    let own = issued("own");
    let certificate = file("locked.pem", own.pem().expect("PEM"));
    let key = file("locked.key", own.encrypted_key_pem("hunter2").expect("PEM"));
    let given = [
        ("kafka.security_protocol", "sasl_ssl"),
        ("kafka.sasl_username", "shop"),
        ("kafka.sasl_password", "hunter3"),
        ("kafka.ssl_certificate_file", &*certificate),
        ("kafka.ssl_key_file", &*key),
    ];
    let with = |password| [&given[..], &[("kafka.ssl_key_password", password)]].concat();
    let loaded = load(&with("hunter2")).expect("no mistake");
    assert!(!format!("{loaded:?}").contains("hunter"), "{loaded:?}");
    let from_file = file("password", "hunter2\n");
    load(&[&given[..], &[("kafka.ssl_key_password_file", &from_file)]].concat())
        .expect("no mistake");
    check(
        &with("wrong"),
        &expect![[r#"
        1 mistake in the settings
          TRADEWIND_KAFKA__SSL_KEY_PASSWORD: does not open the key in kafka.ssl_key_file"#]],
    );
    check(
        &given,
        &expect![[r#"
        1 mistake in the settings
          TRADEWIND_KAFKA__SSL_KEY_PASSWORD: missing; set it to the password of the key in kafka.ssl_key_file"#]],
    );
}

const TOKEN: [(&str, &str); 5] = [
    ("kafka.security_protocol", "sasl_ssl"),
    ("kafka.sasl_mechanism", "OAUTHBEARER"),
    ("kafka.oauth_token_url", "https://id.example/token"),
    ("kafka.oauth_client_id", "projector"),
    ("kafka.oauth_client_secret", "hunter2"),
];

#[test]
fn a_token_needs_an_issuer_and_a_client() {
    let loaded = load(&TOKEN).expect("no mistake");
    assert!(!format!("{loaded:?}").contains("hunter2"), "{loaded:?}");
    assert!(matches!(loaded.settings.0.security.sasl, Some(KafkaSasl::Token(_))));
    check(
        &TOKEN[..2],
        &expect![[r#"
        3 mistakes in the settings
          TRADEWIND_KAFKA__OAUTH_TOKEN_URL: missing; set it to a URL such as https://id.example.org/oauth2/token
          TRADEWIND_KAFKA__OAUTH_CLIENT_ID: missing; set it to a name
          TRADEWIND_KAFKA__OAUTH_CLIENT_SECRET: missing; set it to a secret"#]],
    );
    let more = [("kafka.sasl_username", "shop"), ("kafka.oauth_extensions", "auth=1")];
    check(
        &[&TOKEN[..], &more].concat(),
        &expect![[r#"
        2 mistakes in the settings
          TRADEWIND_KAFKA__OAUTH_EXTENSIONS: found "auth=1", allowed is name=value, several joined by commas, names of letters alone
          TRADEWIND_KAFKA__SASL_USERNAME: not with the mechanism OAUTHBEARER, which takes a token"#]],
    );
    check(
        &[&TOKEN[..], &more[..1]].concat(),
        &expect![[r#"
        1 mistake in the settings
          TRADEWIND_KAFKA__SASL_USERNAME: not with the mechanism OAUTHBEARER, which takes a token"#]],
    );
}

#[test]
fn settings_of_tokens_are_of_no_use_to_passwords() {
    let password = [
        ("kafka.security_protocol", "sasl_ssl"),
        ("kafka.sasl_username", "shop"),
        ("kafka.sasl_password", "hunter2"),
    ];
    load(&password).expect("no mistake");
    check(
        &[&password[..], &[("kafka.oauth_scope", "kafka")]].concat(),
        &expect![[r#"
        1 mistake in the settings
          TRADEWIND_KAFKA__OAUTH_SCOPE: only where kafka.security_protocol is a sasl one and kafka.sasl_mechanism is OAUTHBEARER"#]],
    );
}

/// What is told to expose something.
fn exposures(pairs: &[(&str, &str)]) -> Vec<String> {
    load(pairs).expect("no mistake").exposures.0
}

#[test]
fn a_secret_that_others_can_read_on_its_way_is_told() {
    let password = [("kafka.sasl_username", "shop"), ("kafka.sasl_password", "hunter2")];
    let with = |protocol, mechanism| {
        let how = [("kafka.security_protocol", protocol), ("kafka.sasl_mechanism", mechanism)];
        exposures(&[&password[..], &how].concat())
    };
    let told = "TRADEWIND_KAFKA__SECURITY_PROTOCOL: the password and all events travel unencrypted \
                to brokers on other machines";
    assert_eq!(with("sasl_plaintext", "PLAIN"), [told]);
    assert_eq!(with("sasl_plaintext", "SCRAM-SHA-512"), [told.replace("the password and ", "")]);
    assert!(with("sasl_ssl", "PLAIN").is_empty());
    let token = [&TOKEN[1..], &[("kafka.security_protocol", "sasl_plaintext")]].concat();
    assert_eq!(exposures(&token), [told.replace("password", "token")]);
    assert!(exposures(&TOKEN).is_empty());
    let plain_url = [&TOKEN[..2], &TOKEN[3..], &[("kafka.oauth_token_url", "http://id.example/t")]];
    let told = "TRADEWIND_KAFKA__OAUTH_TOKEN_URL: the client's secret and the tokens travel \
                unencrypted to another machine";
    assert_eq!(exposures(&plain_url.concat()), [told]);
    let here = [&TOKEN[..2], &TOKEN[3..], &[("kafka.oauth_token_url", "http://localhost:1/t")]];
    assert!(exposures(&here.concat()).is_empty());
    let strict = [&plain_url.concat()[..], &[("security.strict", "true")]].concat();
    assert!(load(&strict).unwrap_err().contains("which security.strict forbids"));
}
