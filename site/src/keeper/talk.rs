//! Questions to a keeper over HTTP.

use serde_json::Value;

use super::{HttpAnswer, Keeper};
use crate::redis::Redis;

impl Keeper {
    /// `GET path`.
    pub async fn get(&self, path: &str) -> reqwest::Result<HttpAnswer> {
        self.send(self.client.get(self.url(path))).await
    }

    /// `GET path` with this value as the state header.
    pub async fn get_with_state(&self, path: &str, state: &[u8]) -> reqwest::Result<HttpAnswer> {
        let request = self.client.get(self.url(path));
        self.send(request.header("x-haproxy-server-state", state))
            .await
    }

    /// `POST path` with a body; none if the body is null.
    pub async fn post(&self, path: &str, body: &Value) -> reqwest::Result<HttpAnswer> {
        let request = self.client.post(self.url(path));
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        self.send(request).await
    }

    /// Sends a `DELETE`.
    pub async fn delete(&self, path: &str) -> reqwest::Result<HttpAnswer> {
        self.send(self.client.delete(self.url(path))).await
    }

    /// Asks as HAProxy does whether `node` is writable.
    pub async fn is_writable(&self, cluster: &str, node: &Redis) -> reqwest::Result<HttpAnswer> {
        self.check(cluster, "is-writable", node).await
    }

    /// Asks as HAProxy does whether `node` is readable.
    pub async fn is_readable(&self, cluster: &str, node: &Redis) -> reqwest::Result<HttpAnswer> {
        self.check(cluster, "is-readable", node).await
    }

    async fn check(
        &self,
        cluster: &str,
        question: &str,
        node: &Redis,
    ) -> reqwest::Result<HttpAnswer> {
        let at = node.at();
        let (ip, port) = (at.ip(), at.port());
        let state = format!(
            "UP 1/1; address={ip}; port={port}; name={cluster}/{ip}:{port}; node=test; weight=1/1; scur=0/0; qcur=0"
        );
        self.get_with_state(&format!("/cluster/{cluster}/{question}"), state.as_bytes())
            .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<HttpAnswer> {
        let response = request.send().await?;
        let code = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(HttpAnswer { code, body })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }
}
