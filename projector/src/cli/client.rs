//! How commands talk to a projector that runs.

use std::time::Duration;

use anyhow::{Context, bail};
use infra::config;
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// How long an answer may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// The operators' door of a projector.
pub(super) struct Client {
    http: reqwest::Client,
    settings: config::Client,
}

impl Client {
    /// # Errors
    /// If no client can be made.
    pub(super) fn new(settings: config::Client) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER_WAIT_MAX).build();
        Ok(Self { http: http.context("making an HTTP client")?, settings })
    }

    /// # Errors
    /// What the projector says, or that it does not answer.
    pub(super) async fn get<A: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<A> {
        self.send(self.request(Method::GET, path).query(query)).await
    }

    /// # Errors
    /// What the projector says, or that it does not answer.
    pub(super) async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> anyhow::Result<A> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let config::Client { projector_url, operator_key } = &self.settings;
        let request = self.http.request(method, format!("{projector_url}{path}"));
        request.bearer_auth(operator_key.expose_secret())
    }

    async fn send<A: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<A> {
        let away = || format!("the projector at {} does not answer", self.settings.projector_url);
        let answer = request.send().await.with_context(away)?;
        let status = answer.status();
        let body = answer.bytes().await.with_context(away)?;
        if status.is_success() {
            return serde_json::from_slice(&body).context("reading the projector's answer");
        }
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason given");
        let code = problem["code"].as_str().unwrap_or("unknown");
        bail!("{detail} ({} {code})", status.as_u16());
    }
}
