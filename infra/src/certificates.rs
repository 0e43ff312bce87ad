//! Certificates for tests: an authority, and those that it issues.

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, PKeyRef, Private},
    symm::Cipher,
    x509::{
        X509, X509Builder, X509Name, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};

/// Days, of which a test needs a moment.
const VALID_FOR: u32 = 2;

pub struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

/// A certificate with its key.
pub struct Issued {
    key: PKey<Private>,
    certificate: X509,
}

impl Authority {
    /// # Errors
    /// OpenSSL refuses.
    pub fn new() -> Result<Self, ErrorStack> {
        let (key, name) = (key()?, name("Tradewind tests")?);
        let mut builder = builder(&key, &name, &name, 1)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { key, certificate: builder.build() })
    }

    /// A certificate for a client of this name, or for a server on this machine.
    ///
    /// # Errors
    /// OpenSSL refuses.
    pub fn issue(&self, common_name: &str) -> Result<Issued, ErrorStack> {
        let key = key()?;
        let issuer = self.certificate.subject_name().to_owned()?;
        let mut builder = builder(&key, &name(common_name)?, &issuer, 2)?;
        let here = SubjectAlternativeName::new()
            .dns("localhost")
            .ip("127.0.0.1")
            .build(&builder.x509v3_context(Some(&self.certificate), None))?;
        builder.append_extension(here)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(Issued { key, certificate: builder.build() })
    }

    /// # Errors
    /// OpenSSL refuses.
    pub fn pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.certificate.to_pem()
    }
}

impl Issued {
    /// # Errors
    /// OpenSSL refuses.
    pub fn pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.certificate.to_pem()
    }

    /// # Errors
    /// OpenSSL refuses.
    pub fn key_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.key.private_key_to_pem_pkcs8()
    }

    /// # Errors
    /// OpenSSL refuses.
    pub fn encrypted_key_pem(&self, password: &str) -> Result<Vec<u8>, ErrorStack> {
        self.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), password.as_bytes())
    }
}

fn key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

fn name(common_name: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
    Ok(name.build())
}

fn builder(
    key: &PKeyRef<Private>,
    subject: &X509Name,
    issuer: &X509Name,
    serial: u32,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509Builder::new()?;
    // X.509's third version is number 2.
    builder.set_version(2)?;
    let serial = BigNum::from_u32(serial)?.to_asn1_integer()?;
    let (now, then) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(VALID_FOR)?);
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&now)?;
    builder.set_not_after(&then)?;
    Ok(builder)
}
