//! A thin client that speaks as one role and keeps everything of an answer that a test may look at.

use anyhow::{Context, Result};
use futures_util::{FutureExt, future::BoxFuture};
pub use infra::http::testing::Answer;
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use stack::plain_http;

/// Commands go to the command API, reads to the query API.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    command_url: String,
    query_url: String,
    key: Option<String>,
}

impl Client {
    #[must_use]
    pub fn new(command_url: &str, query_url: &str, key: Option<String>) -> Self {
        Self {
            http: plain_http::client(),
            command_url: command_url.to_owned(),
            query_url: query_url.to_owned(),
            key,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.query(path)).await
    }

    /// A read that sees at least what the answer to a command told.
    pub async fn get_after(&self, path: &str, answer: &Answer) -> Answer {
        send(self.query(path).header("Tradewind-Position", answer.header("Tradewind-Position")))
            .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.command(Method::POST, path).json(body)).await
    }

    /// A command that may be sent again.
    pub async fn post_as(&self, idempotency_key: &str, path: &str, body: &Value) -> Answer {
        let request = self.command(Method::POST, path).header("Idempotency-Key", idempotency_key);
        send(request.json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.command(Method::PUT, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.command(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.command(Method::DELETE, path)).await
    }

    /// A request to the command API, for headers and bodies that the other methods do not have.
    pub fn command(&self, method: Method, path: &str) -> RequestBuilder {
        self.signed(self.http.request(method, format!("{}{path}", self.command_url)))
    }

    /// A request to the query API.
    pub fn query(&self, path: &str) -> RequestBuilder {
        self.signed(self.http.get(format!("{}{path}", self.query_url)))
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, format!("Bearer {key}")),
            None => request,
        }
    }
}

/// # Panics
/// When no answer comes: a test that goes without one uses [`try_send`].
#[expect(clippy::panic, reason = "a service that does not answer fails the test that asks")]
pub fn send(request: RequestBuilder) -> BoxFuture<'static, Answer> {
    async move {
        match try_send(request).await {
            Ok(answer) => answer,
            Err(error) => panic!("{error:#}"),
        }
    }
    .boxed()
}

/// # Errors
/// When no answer comes.
pub fn try_send(request: RequestBuilder) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let response = request.send().await.context("sending a request")?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.context("reading an answer")?;
        Ok(Answer::new(status, headers, &body))
    }
    .boxed()
}
