//! Whom to believe that they are a broker, and by which certificate the brokers know us.

use std::{
    fs,
    path::{Path, PathBuf},
};

use openssl::{
    pkey::{PKey, Private},
    x509::X509,
};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Reader, Setting, setting::filled};

crate::settings! {
    /// Certificates (PEM) to trust instead of the system's.
    CA_FILE = "kafka.ssl_ca_file", "the path of a file", None;
    /// The certificate (PEM) by which brokers know this client, followed by those between it and a root.
    CERTIFICATE_FILE = "kafka.ssl_certificate_file",
        "the path of a file, together with kafka.ssl_key_file", None;
    /// The key (PEM) of that certificate.
    KEY_FILE = "kafka.ssl_key_file",
        "the path of a file, together with kafka.ssl_certificate_file", None;
    /// The password of the key, where it is encrypted.
    KEY_PASSWORD = "kafka.ssl_key_password",
        "the password of the key in kafka.ssl_key_file", None;
}

/// **Invariant:** what the files hold was readable and fitted together at the start.
#[derive(Clone, Debug)]
pub struct KafkaTls {
    pub ca_file: Option<PathBuf>,
    /// By which the brokers know this client.
    pub client: Option<KafkaClientKey>,
}

#[derive(Clone, Debug)]
pub struct KafkaClientKey {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub password: Option<SecretString>,
}

impl KafkaTls {
    /// `is_used`: whether the protocol is one that encrypts, where it is known. `Some(None)` if not.
    pub(super) fn read(reader: &mut Reader<'_>, is_used: Option<bool>) -> Option<Option<Self>> {
        let file = |text: &str| filled(text).map(PathBuf::from);
        let ca_file = reader.optional_with(&CA_FILE, file);
        let certificate_file = reader.optional_with(&CERTIFICATE_FILE, file);
        let key_file = reader.optional_with(&KEY_FILE, file);
        let password = reader.optional_secret(&KEY_PASSWORD);
        let (ca_file, certificate_file) = (ca_file?, certificate_file?);
        let (key_file, password) = (key_file?, password?);
        if !is_used? {
            let set = [
                (&CA_FILE, ca_file.is_some()),
                (&CERTIFICATE_FILE, certificate_file.is_some()),
                (&KEY_FILE, key_file.is_some()),
                (&KEY_PASSWORD, password.is_some()),
            ];
            for (setting, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                reader.unfit(setting, "only where kafka.security_protocol is ssl or sasl_ssl");
            }
            return Some(None);
        }
        let ca_is_fit = match &ca_file {
            Some(file) => certificates(reader, &CA_FILE, file).map(drop),
            None => Some(()),
        };
        let client = KafkaClientKey::checked(reader, certificate_file, key_file, password);
        ca_is_fit?;
        Some(Some(Self { ca_file, client: client? }))
    }
}

impl KafkaClientKey {
    fn checked(
        reader: &mut Reader<'_>,
        certificate_file: Option<PathBuf>,
        key_file: Option<PathBuf>,
        password: Option<SecretString>,
    ) -> Option<Option<Self>> {
        match (certificate_file, key_file) {
            (Some(certificate_file), Some(key_file)) => {
                let chain = certificates(reader, &CERTIFICATE_FILE, &certificate_file);
                let key = key(reader, &key_file, password.as_ref());
                let (chain, key) = (chain?, key?);
                let own = chain.first().and_then(|own| own.public_key().ok());
                if !own.is_some_and(|own| own.public_eq(&key)) {
                    let other = "is not the key of the certificate in kafka.ssl_certificate_file";
                    reader.unfit(&KEY_FILE, other);
                    return None;
                }
                Some(Some(Self { certificate_file, key_file, password }))
            }
            (Some(_), None) => reader.missing(&KEY_FILE),
            (None, Some(_)) => reader.missing(&CERTIFICATE_FILE),
            (None, None) if password.is_some() => reader.missing(&KEY_FILE),
            (None, None) => Some(None),
        }
    }
}

/// One at least. `None` after a mistake, which is noted.
pub(super) fn certificates(
    reader: &mut Reader<'_>,
    setting: &'static Setting,
    file: &Path,
) -> Option<Vec<X509>> {
    let pem = contents(reader, setting, file)?;
    let found = X509::stack_from_pem(&pem).ok().filter(|found| !found.is_empty());
    if found.is_none() {
        reader.unfit(setting, &format!("{} holds no certificate in PEM", file.display()));
    }
    found
}

fn key(
    reader: &mut Reader<'_>,
    file: &Path,
    password: Option<&SecretString>,
) -> Option<PKey<Private>> {
    let pem = contents(reader, &KEY_FILE, file)?;
    // Both forms of encrypted keys say so, one in its first line and one in a header.
    let is_encrypted = String::from_utf8_lossy(&pem).contains("ENCRYPTED");
    match (password, is_encrypted) {
        (None, true) => reader.missing(&KEY_PASSWORD),
        (Some(password), true) => {
            let password = password.expose_secret().as_bytes();
            let key = PKey::private_key_from_pem_passphrase(&pem, password).ok();
            if key.is_none() {
                reader.unfit(&KEY_PASSWORD, "does not open the key in kafka.ssl_key_file");
            }
            key
        }
        (_, false) => {
            // Without a callback OpenSSL would ask at the terminal.
            let key = PKey::private_key_from_pem_callback(&pem, |_| Ok(0)).ok();
            if key.is_none() {
                reader.unfit(&KEY_FILE, &format!("{} holds no key in PEM", file.display()));
            }
            key
        }
    }
}

fn contents(reader: &mut Reader<'_>, setting: &'static Setting, file: &Path) -> Option<Vec<u8>> {
    match fs::read(file) {
        Ok(contents) => Some(contents),
        Err(error) => {
            reader.unfit(setting, &format!("{} cannot be read: {error}", file.display()));
            None
        }
    }
}
