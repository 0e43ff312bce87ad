//! Asks a running projector. What is asked for lives there, so it goes on when this process ends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use infra::{config, retry::Policy};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::{status::Status, store::verifications::Verification};

/// A projector that is restarted, or whose database is, comes back within this time.
const AWAY: Policy = Policy {
    tries_max: Some(120),
    wait_min: Duration::from_millis(100),
    wait_max: Duration::from_secs(1),
};
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) struct Client {
    http: reqwest::Client,
    settings: config::Client,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    detail: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    /// Nothing was sent, or the projector says that it could do nothing.
    #[error("the projector at {url} does not answer: {cause}")]
    Away { url: String, cause: String },
    #[error("{0}")]
    Refused(String),
    #[error("it is not known what the projector did: `projector status` tells")]
    Unknown(#[source] reqwest::Error),
}

impl Client {
    pub(super) fn new(settings: config::Client) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER_WAIT_MAX).build();
        Ok(Self { http: http.context("making an HTTP client")?, settings })
    }

    pub(super) async fn status(&self) -> Result<Status> {
        self.ask(Method::GET, "/v1/admin/status", None).await
    }

    pub(super) async fn verification(&self, id: Uuid) -> Result<Verification> {
        self.ask(Method::GET, &format!("/v1/admin/verifications/{id}"), None).await
    }

    /// `rebuild`, `switch` and the like. The name goes into the path as it is.
    pub(super) async fn act<T: DeserializeOwned>(
        &self,
        name: &str,
        action: &str,
        body: &Value,
    ) -> Result<T> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        ensure!(!name.is_empty() && name.bytes().all(is_plain), "there is no projection {name:?}");
        let path = format!("/v1/admin/projections/{name}/{action}");
        self.ask(Method::POST, &path, Some(body)).await
    }

    /// Waits for a projector that is away.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let once = || async {
            let url = format!("{}{path}", self.settings.url);
            let key = self.settings.operator_key.expose_secret();
            let request = self.http.request(method.clone(), url).bearer_auth(key);
            let request = match body {
                Some(body) => request.json(body),
                None => request,
            };
            self.send(request, method == Method::GET).await
        };
        let is_away = |error: &Unanswered| matches!(error, Unanswered::Away { .. });
        let text = infra::retry::retry(AWAY, is_away, once).await?;
        serde_json::from_str(&text).context("the projector's answer cannot be read")
    }

    async fn send(&self, request: RequestBuilder, repeatable: bool) -> Result<String, Unanswered> {
        let away = |cause: String| Unanswered::Away { url: self.settings.url.clone(), cause };
        let lost = |error: reqwest::Error| {
            if repeatable || error.is_connect() {
                away(error.to_string())
            } else {
                Unanswered::Unknown(error)
            }
        };
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let text = answer.text().await.map_err(lost)?;
        if status.is_success() {
            return Ok(text);
        }
        let unreadable =
            |_| Refusal { code: String::new(), detail: format!("it answers {status}") };
        let Refusal { code, detail } = serde_json::from_str(&text).unwrap_or_else(unreadable);
        // Behind is what a version may be for good; the operator decides whether to ask again.
        if status == StatusCode::SERVICE_UNAVAILABLE && code != "version.not_ready" {
            return Err(away(detail));
        }
        Err(Unanswered::Refused(detail))
    }
}
