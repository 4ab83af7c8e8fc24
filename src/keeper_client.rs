//! The one client for the HTTP interface of keepers. Every request to a keeper that this program sends goes through
//! it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The limits of one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The time limit for the connection; `None` if only `answer` limits it.
    pub connection: Option<Duration>,
    /// The time limit for the connection and the whole answer; `None` if the caller bounds that time.
    pub answer: Option<Duration>,
    /// The longest body that is read, in bytes.
    pub longest: usize,
}

/// A client for the HTTP interface of keepers. No proxy is used.
///
/// Each request opens a connection of its own, because a connection kept from before an outage may be dead without a
/// sign.
#[derive(Debug, Clone)]
pub struct KeeperClient {
    http: reqwest::Client,
    longest: usize,
}

/// A request that is not sent yet.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    http: RequestBuilder,
    longest: usize,
}

/// The beginning of a keeper's answer. The body is still to be read.
#[derive(Debug)]
pub struct Answer {
    http: Response,
    longest: usize,
}

/// The reason why there is no usable answer. `Display` gives the root cause in words.
#[derive(Debug)]
pub struct NoAnswer {
    cause: String,
    sent: bool,
    late: bool,
}

// === impl KeeperClient ===

impl KeeperClient {
    /// A client that resolves host names through the operating system.
    pub fn new(limits: Limits) -> Self {
        Self::built(reqwest::Client::builder(), limits)
    }

    /// A client that resolves host names through `resolver`.
    pub fn resolved_by(resolver: impl Resolve + 'static, limits: Limits) -> Self {
        let builder = reqwest::Client::builder().dns_resolver(Arc::new(resolver));
        Self::built(builder, limits)
    }

    fn built(mut builder: reqwest::ClientBuilder, limits: Limits) -> Self {
        builder = builder.pool_max_idle_per_host(0).no_proxy();
        if let Some(connection) = limits.connection {
            builder = builder.connect_timeout(connection);
        }
        if let Some(answer) = limits.answer {
            builder = builder.timeout(answer);
        }
        Self {
            // The builder can fail only in its TLS setup, and this client has no TLS.
            http: builder.build().unwrap_or_default(),
            longest: limits.longest,
        }
    }

    /// A `GET` of `path` at the keeper at `rest` (`host:port` of its HTTP interface).
    pub fn get(&self, rest: impl fmt::Display, path: &str) -> Request {
        self.request(Method::GET, rest, path)
    }

    /// A `POST` to `path` at the keeper at `rest`.
    pub fn post(&self, rest: impl fmt::Display, path: &str) -> Request {
        self.request(Method::POST, rest, path)
    }

    fn request(&self, method: Method, rest: impl fmt::Display, path: &str) -> Request {
        Request {
            http: self.http.request(method, format!("http://{rest}{path}")),
            longest: self.longest,
        }
    }
}

// === impl Request ===

impl Request {
    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|http| http.header(name, value))
    }

    /// Adds a parameter to the query.
    pub fn query(self, name: &str, value: &str) -> Self {
        self.with(|http| http.query(&[(name, value)]))
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|http| http.body(body))
    }

    /// Sets the body to `body` as JSON.
    pub fn json(self, body: &impl Serialize) -> Self {
        self.with(|http| http.json(body))
    }

    fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self {
            http: change(self.http),
            ..self
        }
    }

    /// Sends the request, and waits for the head of the answer.
    ///
    /// # Errors
    /// There is no answer: see [`NoAnswer::was_sent`].
    pub fn send(self) -> impl Future<Output = Result<Answer, NoAnswer>> + 'static {
        let Self { http, longest } = self;
        let sent = http.send();
        async move {
            let http = sent.await?;
            Ok(Answer { http, longest })
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.http.status()
    }

    /// Reads the body.
    ///
    /// # Errors
    /// The body is longer than [`Limits::longest`], or the connection fails, or the time is up.
    pub async fn bytes(mut self) -> Result<Vec<u8>, NoAnswer> {
        let mut body = Vec::new();
        while let Some(chunk) = self.http.chunk().await? {
            if body.len() + chunk.len() > self.longest {
                let longest = self.longest;
                return Err(NoAnswer::unusable(format!(
                    "its answer is longer than {longest} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// As for [`Answer::bytes`]; or the body is no JSON of a `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, NoAnswer> {
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| NoAnswer::unusable(error.to_string()))
    }
}

// === impl NoAnswer ===

impl NoAnswer {
    /// An answer came, of which the keeper that asked can make nothing.
    fn unusable(cause: String) -> Self {
        Self {
            cause,
            sent: true,
            late: false,
        }
    }

    /// Whether the request may have reached a keeper. `false`: no connection was made, or the address is none.
    pub fn was_sent(&self) -> bool {
        self.sent
    }

    /// Whether a time limit has passed.
    pub fn is_late(&self) -> bool {
        self.late
    }
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        Self {
            cause: root_cause(&error),
            sent: !(error.is_connect() || error.is_builder()),
            late: error.is_timeout(),
        }
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl Error for NoAnswer {}

/// The last cause in the chain of `error`. The causes before only introduce that one.
fn root_cause(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
