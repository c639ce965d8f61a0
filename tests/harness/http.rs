//! The HTTP APIs of a running server, as sibling services call them.

use crate::{Server, stack::INTERNAL_SECRET, wait};
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use presence_api::http::{Agent, Attendance, Counters, DeleteResponse, Problem, Stay};
use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Who asks in tests that do not care.
const READER: &str = "reader";

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn to(request: RequestBuilder) -> Result<Self> {
        let sent = async {
            let response = request.send().await.context("send an HTTP request")?;
            let headers = response.headers().clone();
            let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            Ok(Self {
                status: response.status().as_u16(),
                content_type: content_type.unwrap_or_default().to_owned(),
                body: response.text().await.context("read an HTTP answer")?,
                headers,
            })
        };
        wait::within("an HTTP answer", sent).await?
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        ensure!(self.status == 200, "expected 200: {self:?}");
        serde_json::from_str(&self.body).with_context(|| format!("understand {self:?}"))
    }

    /// An RFC 9457 problem of this status, in which the same status stands.
    pub fn problem(&self, status: u16) -> Result<Problem> {
        let problem: Problem =
            serde_json::from_str(&self.body).with_context(|| format!("expected a problem: {self:?}"))?;
        let is_one = self.content_type == "application/problem+json" && problem.status == self.status;
        ensure!(self.status == status && is_one, "expected a problem of {status}: {self:?}");
        Ok(problem)
    }
}

/// When a stay began, and when it ended.
pub fn interval(stay: &Stay) -> Result<(Timestamp, Option<Timestamp>)> {
    let parse =
        |text: &str| text.parse::<Timestamp>().with_context(|| format!("{text} is no time in RFC 3339"));
    Ok((parse(&stay.entered_at)?, stay.left_at.as_deref().map(parse).transpose()?))
}

/// The stays of one agent follow one another.
pub fn ensure_apart(stays: &[Stay]) -> Result<()> {
    for pair in stays.windows(2) {
        let ((_, left), (entered, _)) = (interval(&pair[0])?, interval(&pair[1])?);
        ensure!(left.is_some_and(|left| left <= entered), "stays overlap: {pair:?}");
    }
    Ok(())
}

impl Server {
    /// A request to the public port, without a token.
    pub fn public(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.public))
    }

    /// With the token of somebody who may read everything.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Answer::to(self.public(Method::GET, path).bearer_auth(self.token(READER)?)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        Answer::to(self.public(Method::POST, path).bearer_auth(self.token(READER)?).json(body)).await
    }

    /// `query` begins with `?`, or is empty.
    pub async fn agents(&self, classroom: &str, query: &str) -> Result<Vec<Agent>> {
        self.get(&format!("/api/v1/classrooms/{classroom}/agents{query}")).await?.json()
    }

    pub async fn count(&self, classrooms: &[&str]) -> Result<Counters> {
        self.post("/api/v1/counters/agent", &json!({ "classroom_ids": classrooms })).await?.json()
    }

    /// All stays in a classroom, live and ended, up to a page of them.
    pub async fn attendance(&self, classroom: &str) -> Result<Vec<Stay>> {
        let answer = self.get(&format!("/api/v1/classrooms/{classroom}/attendance")).await?;
        let page: Attendance = answer.json()?;
        ensure!(page.next.is_none(), "more than a page of stays");
        Ok(page.stays)
    }

    /// The stays of one agent.
    pub async fn stays_of(&self, agent_id: &str, classroom: &str) -> Result<Vec<Stay>> {
        let stays = self.attendance(classroom).await?;
        Ok(stays.into_iter().filter(|stay| stay.agent_id == agent_id).collect())
    }

    /// Ends a session through the internal API.
    pub async fn delete(&self, agent_id: &str, classroom: &str) -> Result<(u16, DeleteResponse)> {
        let answer = Answer::to(self.delete_with(agent_id, classroom).bearer_auth(INTERNAL_SECRET)).await?;
        let said = serde_json::from_str(&answer.body).with_context(|| format!("understand {answer:?}"))?;
        Ok((answer.status, said))
    }

    /// The same, without the secret.
    pub fn delete_with(&self, agent_id: &str, classroom: &str) -> RequestBuilder {
        let key = json!({ "session_key": { "agent_id": agent_id, "classroom_id": classroom } });
        self.http.delete(format!("http://{}/api/v1/sessions", self.internal)).json(&key)
    }

    /// `/healthz`, `/readyz` or `/metrics`.
    pub async fn health(&self, path: &str) -> Result<Answer> {
        Answer::to(self.http.get(format!("http://{}{path}", self.metrics))).await
    }

    pub async fn metrics_text(&self) -> Result<String> {
        let answer = self.health("/metrics").await?;
        ensure!(answer.status == 200, "no metrics: {answer:?}");
        Ok(answer.body)
    }
}
