//! Asks a service that runs, as its operator. What is asked for lives there, so it goes on when this process
//! ends.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    config,
    retry::{Policy, retry},
};

/// A service that is restarted, or whose database is, comes back within this time.
const AWAY: Policy = Policy {
    tries_max: Some(120),
    wait_min: Duration::from_millis(100),
    wait_max: Duration::from_secs(1),
};
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// The way to one service.
pub struct Operator {
    http: reqwest::Client,
    settings: config::Client,
    service: Service,
}

/// Which service is asked.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub name: &'static str,
    /// What tells what became of a request without an answer.
    pub tells: &'static str,
    /// Codes of refusals with 503 that waiting does not change.
    pub for_good: &'static [&'static str],
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    detail: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nothing was sent, or the service says that it could do nothing.
    #[error("{name} at {url} does not answer: {cause}")]
    Away { name: &'static str, url: String, cause: String },
    #[error("{0}")]
    Refused(String),
    #[error("it is not known what {} did: `{}` tells", .service.name, .service.tells)]
    Unknown {
        service: Service,
        #[source]
        cause: reqwest::Error,
    },
    #[error("the answer of {name} cannot be read")]
    Unreadable {
        name: &'static str,
        #[source]
        cause: serde_json::Error,
    },
    #[error("an HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

impl Operator {
    /// # Errors
    /// There is nothing here to speak HTTP with.
    pub fn new(settings: config::Client, service: Service) -> Result<Self, Unanswered> {
        let http = reqwest::Client::builder().timeout(ANSWER_WAIT_MAX).build();
        Ok(Self { http: http.map_err(Unanswered::Client)?, settings, service })
    }

    /// Waits for a service that is away.
    ///
    /// # Errors
    /// It refuses, stays away, or what became of the request is not known.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Unanswered> {
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
        let text = retry(AWAY, is_away, once).await?;
        let name = self.service.name;
        serde_json::from_str(&text).map_err(|cause| Unanswered::Unreadable { name, cause })
    }

    async fn send(&self, request: RequestBuilder, repeatable: bool) -> Result<String, Unanswered> {
        let (name, url, service) = (self.service.name, &self.settings.url, self.service);
        let away = |cause: String| Unanswered::Away { name, url: url.clone(), cause };
        let lost = |cause: reqwest::Error| match repeatable || cause.is_connect() {
            true => away(cause.to_string()),
            false => Unanswered::Unknown { service, cause },
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
        if status == StatusCode::SERVICE_UNAVAILABLE && !service.for_good.contains(&&*code) {
            return Err(away(detail));
        }
        Err(Unanswered::Refused(detail))
    }
}
