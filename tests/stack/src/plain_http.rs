//! The HTTP client of everything here: it talks to local services, which do not speak TLS.

use reqwest::{Client, ClientBuilder};

/// Knows no certificates: reading those of the system takes longer than many a test, and as long as
/// a runtime of one thread reads them, the services in it stand still.
pub fn builder() -> ClientBuilder {
    Client::builder().tls_certs_only([])
}

/// [`builder`]'s client as it is.
///
/// # Panics
/// Never: only certificates and proxies can be wrong.
#[expect(clippy::expect_used, reason = "nothing is configured that could be wrong")]
#[must_use]
pub fn client() -> Client {
    builder().build().expect("a plain client can be built")
}
