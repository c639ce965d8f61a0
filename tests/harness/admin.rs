//! Operating a running server through its internal API, as an operator does.

use crate::{Server, http::Answer, stack::INTERNAL_SECRET, wait};
use anyhow::{Result, ensure};
use presence_api::admin::Stats;
use reqwest::Method;
use serde_json::{Value, json};

impl Server {
    /// A request to the internal port, with the secret.
    pub async fn operate(&self, method: Method, verb: &str, body: Option<Value>) -> Result<Answer> {
        let mut request = self.http.request(method, format!("http://{}/api/v1/{verb}", self.internal));
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::to(request.bearer_auth(INTERNAL_SECRET)).await
    }

    pub async fn stats(&self) -> Result<Stats> {
        self.operate(Method::GET, "stats", None).await?.json()
    }

    pub async fn drain(&self) -> Result<Stats> {
        self.operate(Method::POST, "drain", None).await?.json()
    }

    pub async fn undrain(&self) -> Result<Stats> {
        self.operate(Method::POST, "undrain", None).await?.json()
    }

    pub async fn shed(&self, agents: u32) -> Result<Stats> {
        self.operate(Method::POST, "shed", Some(json!({ "agents": agents }))).await?.json()
    }

    pub async fn accept(&self, accepting: bool) -> Result<Stats> {
        self.operate(Method::PUT, "accepting", Some(json!({ "accepting": accepting }))).await?.json()
    }

    /// Waits until the numbers are as they should be.
    pub async fn expect_stats(&self, what: &str, are: impl Fn(&Stats) -> bool) -> Result<Stats> {
        wait::eventually(what, async || {
            let stats = self.stats().await?;
            ensure!(are(&stats), "{stats:?}");
            Ok(stats)
        })
        .await
    }
}
