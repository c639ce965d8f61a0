//! An HTTP server on loopback that answers as it is told and counts who asked.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

/// What goes into an answer: text as it is, JSON written out.
pub(crate) struct Body(String);

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Value> for Body {
    fn from(json: Value) -> Self {
        Self(json.to_string())
    }
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Body>) -> Self {
        Self::status(StatusCode::OK, body)
    }

    pub(crate) fn status(status: StatusCode, body: impl Into<Body>) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.into().0,
            delay: Duration::ZERO,
        }
    }
}

#[derive(Debug)]
struct Script {
    answer: Answer,
    asked: Vec<Asked>,
    at_once: usize,
    most_at_once: usize,
}

type Shared = Arc<Mutex<Script>>;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Shared,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answer: Answer) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    pub(crate) async fn start_at(address: SocketAddr, answer: Answer) -> Self {
        let script = Arc::new(Mutex::new(Script { answer, asked: vec![], at_once: 0, most_at_once: 0 }));
        let app = Router::new().fallback(respond).with_state(Arc::clone(&script));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test's own server; ended when it is dropped")]
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, script, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/path", self.address)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.script.lock().unwrap().answer = answer;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }

    /// Requests that were being answered at the same time, at most. Means something while nobody hangs up.
    pub(crate) fn most_at_once(&self) -> usize {
        self.script.lock().unwrap().most_at_once
    }

    pub(crate) fn count(&self) -> usize {
        self.script.lock().unwrap().asked.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn respond(State(script): State<Shared>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    let answer = {
        let mut script = script.lock().unwrap();
        script.asked.push(Asked { method, headers, body });
        script.at_once += 1;
        script.most_at_once = script.most_at_once.max(script.at_once);
        script.answer.clone()
    };
    tokio::time::sleep(answer.delay).await;
    script.lock().unwrap().at_once -= 1;
    let mut response = (answer.status, answer.body).into_response();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// An address on which nobody listens.
pub(crate) async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
