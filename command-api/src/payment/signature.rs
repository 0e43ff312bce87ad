//! Signatures of incoming webhooks, as Standard Webhooks has them: HMAC-SHA256 over
//! `<id>.<timestamp>.<body>`, base64, after `v1,`; several, for rotation, with spaces between.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::timestamp::Timestamp;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How far a webhook's clock may be from ours, either way.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// The key shared with a provider.
#[derive(Clone)]
pub struct WebhookSecret(Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is `whsec_` and at least 24 bytes in base64")]
pub struct InvalidSecret;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("webhook-timestamp is not a Unix time in seconds")]
    TimestampMalformed,
    #[error("webhook-timestamp is more than five minutes away from this server's clock")]
    TimestampOutOfRange,
    #[error("no signature in webhook-signature matches the body")]
    Mismatch,
}

impl WebhookSecret {
    /// # Errors
    /// If the text is not `whsec_<base64>` or holds too few bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix("whsec_").ok_or(InvalidSecret)?;
        let key = STANDARD.decode(encoded).ok().filter(|key| key.len() >= 24);
        key.map(Self).ok_or(InvalidSecret)
    }

    /// Checks a webhook against its three headers.
    ///
    /// # Errors
    /// Why the webhook is not to be believed.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let sent_at = timestamp
            .parse::<i64>()
            .ok()
            .and_then(|seconds| seconds.checked_mul(1_000_000))
            .map(Timestamp::from_micros)
            .ok_or(SignatureError::TimestampMalformed)?;
        if sent_at.since(now).max(now.since(sent_at)) > CLOCK_SKEW_MAX {
            return Err(SignatureError::TimestampOutOfRange);
        }
        let mac = self.mac(id, timestamp, body).ok_or(SignatureError::Mismatch)?;
        let matches = signatures
            .split(' ')
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
            .any(|tag| mac.clone().verify_slice(&tag).is_ok());
        if matches { Ok(()) } else { Err(SignatureError::Mismatch) }
    }

    /// The value of `webhook-signature` for a webhook of our own making.
    #[cfg(test)]
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mac = self.mac(id, timestamp, body).unwrap();
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// `None` never happens: HMAC takes keys of any length.
    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn check(signatures: &str, body: &[u8], seconds_later: i64) -> Result<(), SignatureError> {
        let now = Timestamp::from_micros((1_614_265_330 + seconds_later) * 1_000_000);
        WebhookSecret::parse(SECRET).unwrap().verify(ID, SENT, signatures, body, now)
    }

    #[test]
    fn the_reference_example_is_accepted() {
        assert_eq!(check(SIGNATURE, BODY, 0), Ok(()));
        assert_eq!(check(&format!("v1,AAAA v2,x {SIGNATURE}"), BODY, 299), Ok(()));
        let secret = WebhookSecret::parse(SECRET).unwrap();
        assert_eq!(secret.sign(ID, SENT, BODY), SIGNATURE);
    }

    #[test]
    fn another_body_or_scheme_is_refused() {
        assert_eq!(check(SIGNATURE, b"{}", 0), Err(SignatureError::Mismatch));
        assert_eq!(check("v1,AAAA", BODY, 0), Err(SignatureError::Mismatch));
        assert_eq!(check("", BODY, 0), Err(SignatureError::Mismatch));
    }

    #[test]
    fn five_minutes_either_way_is_the_limit() {
        for (seconds, expected) in [
            (300, Ok(())),
            (-300, Ok(())),
            (301, Err(SignatureError::TimestampOutOfRange)),
            (-301, Err(SignatureError::TimestampOutOfRange)),
        ] {
            assert_eq!(check(SIGNATURE, BODY, seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn secrets_are_checked_when_they_are_read() {
        for bad in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_!!!"] {
            assert!(WebhookSecret::parse(bad).is_err(), "{bad}");
        }
    }
}
