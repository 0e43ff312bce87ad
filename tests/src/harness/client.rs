//! A thin client that speaks as one role and keeps everything of an answer that a test may look at.

use anyhow::{Context, Result};
use futures_util::{FutureExt, future::BoxFuture};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::plain_http;

/// Commands go to the command API, reads to the query API.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    command_url: String,
    query_url: String,
    key: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// What came, as JSON; text that is none as a string.
    pub body: Value,
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
        let text = response.text().await.context("reading an answer")?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }
    .boxed()
}

impl Answer {
    /// The answer itself, if it has this status.
    ///
    /// # Panics
    /// With the body when it has another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// The answer itself, if it is a problem with this status and code.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        assert_eq!((self.status, self.text("/code")), (status, code), "{}", self.body);
        assert_eq!(self.text("/type"), format!("urn:tradewind:problem:{code}"));
        self
    }

    /// A header, empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A string in the body, by JSON pointer.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        match self.body.pointer(pointer).and_then(Value::as_str) {
            Some(text) => text,
            None => no_such(pointer, &self.body),
        }
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "an answer without what the test looks for fails it")]
fn no_such(pointer: &str, body: &Value) -> ! {
    panic!("no string at {pointer} in {body}")
}
