//! What requests to S3 are signed with: the hashes that the rest of the services use, instead of a second
//! cryptographic library.

use hmac::{Hmac, Mac};
use object_store::{
    Error, Result,
    client::{
        CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm,
    },
};
use sha2::{Digest, Sha256};

#[derive(Debug)]
pub struct S3Signing;

impl CryptoProvider for S3Signing {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        check(&algorithm)?;
        Ok(Box::new(Running { hash: Sha256::new(), result: [0; 32] }))
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        check(&algorithm)?;
        let hash = Hmac::<Sha256>::new_from_slice(secret).map_err(unsupported)?;
        Ok(Box::new(Running { hash, result: [0; 32] }))
    }

    /// Google's storage would need it.
    fn sign(&self, algorithm: SigningAlgorithm, _: &[u8]) -> Result<Box<dyn Signer>> {
        Err(unsupported(format!("{algorithm:?}")))
    }
}

fn check(algorithm: &DigestAlgorithm) -> Result<()> {
    match algorithm {
        DigestAlgorithm::Sha256 => Ok(()),
        other => Err(unsupported(format!("{other:?}"))),
    }
}

fn unsupported(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::NotSupported { source: what.into() }
}

struct Running<H> {
    hash: H,
    result: [u8; 32],
}

impl DigestContext for Running<Sha256> {
    fn update(&mut self, data: &[u8]) {
        Digest::update(&mut self.hash, data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.result = self.hash.clone().finalize().into();
        Ok(&self.result)
    }
}

impl HmacContext for Running<Hmac<Sha256>> {
    fn update(&mut self, data: &[u8]) {
        Mac::update(&mut self.hash, data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.result = self.hash.clone().finalize().into_bytes().into();
        Ok(&self.result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The example of RFC 4231, 4.3, and of FIPS 180-4 for `abc`.
    #[test]
    fn digests_are_those_of_the_standards() {
        let mut digest = S3Signing.digest(DigestAlgorithm::Sha256).unwrap();
        digest.update(b"a");
        digest.update(b"bc");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(digest.finish().unwrap()), expected);
        let mut hmac = S3Signing.hmac(DigestAlgorithm::Sha256, b"Jefe").unwrap();
        hmac.update(b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(hmac.finish().unwrap()), expected);
    }
}
