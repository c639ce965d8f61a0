//! A Mixpanel on loopback. It checks every request against the documented form of `POST /track`, and answers as it is
//! told.
//!
//! The form is that of Mixpanel's reference of its ingestion API (docs.mixpanel.com/reference/track-event and
//! /reference/import-events, whose limits and ids hold for both).

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::{
    collections::VecDeque,
    io::Read as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinSet};

/// How a request is answered.
#[derive(Debug, Clone)]
pub(crate) enum How {
    /// The events are taken.
    Take,
    /// 413 for more events than this; fewer are taken.
    AtMost(usize),
    Say(u16, &'static str, Option<(&'static str, &'static str)>),
    /// Never.
    Hang,
    /// The connection breaks in the middle of the answer, and the events are taken.
    Break,
}

impl How {
    pub(crate) const fn say(status: u16) -> Self {
        Self::Say(status, "", None)
    }
}

#[derive(Debug, Default)]
struct Script {
    /// What comes first; then everything is answered as the last one was.
    answers: VecDeque<How>,
    /// How many events each request had.
    asked: Vec<usize>,
    taken: Vec<Value>,
    /// What was not as documented.
    wrong: Vec<String>,
}

#[derive(Debug, Clone)]
struct Shared {
    script: Arc<Mutex<Script>>,
    path: &'static str,
    token: &'static str,
}

pub(crate) struct Double {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _serving: JoinSet<()>,
}

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

impl Double {
    pub(crate) async fn start(answers: impl IntoIterator<Item = How>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), "/track", answers).await
    }

    pub(crate) async fn start_at(
        address: SocketAddr,
        path: &'static str,
        answers: impl IntoIterator<Item = How>,
    ) -> Self {
        let answers = answers.into_iter().collect();
        let script = Arc::new(Mutex::new(Script { answers, ..Script::default() }));
        let shared = Shared { script: script.clone(), path, token: TOKEN };
        let app = Router::new().fallback(respond).with_state(shared);
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, script, _serving: serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of events of each request so far. Every one of them was as documented.
    #[track_caller]
    pub(crate) fn asked(&self) -> Vec<usize> {
        let script = self.script.lock().unwrap();
        assert_eq!(script.wrong, Vec::<String>::new());
        script.asked.clone()
    }

    /// The events that were taken, with repetitions counted as Mixpanel counts them: once.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let script = self.script.lock().unwrap();
        assert_eq!(script.wrong, Vec::<String>::new());
        let fact = |event: &Value| {
            let of = |name: &str| event["properties"][name].clone();
            [event["event"].clone(), of("time"), of("distinct_id"), of("$insert_id")]
        };
        let mut seen = std::collections::HashSet::new();
        script.taken.iter().filter(|event| seen.insert(format!("{:?}", fact(event)))).cloned().collect()
    }
}

async fn respond(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let events = match read(&shared, &method, &uri, &headers, &body) {
        Ok(events) => events,
        Err(wrong) => {
            shared.script.lock().unwrap().wrong.push(wrong);
            return StatusCode::IM_A_TEAPOT.into_response();
        }
    };
    let how = next(&shared, events.len());
    let take = |events| shared.script.lock().unwrap().taken.extend::<Vec<_>>(events);
    match how {
        How::Take => {
            take(events);
            (StatusCode::OK, r#"{"status":1,"error":null}"#).into_response()
        }
        How::AtMost(most) if events.len() > most => {
            let body =
                r#"{"code":413,"error":"request exceeds max limit","status":"Request Entity Too Large"}"#;
            (StatusCode::PAYLOAD_TOO_LARGE, body).into_response()
        }
        How::AtMost(_) => {
            take(events);
            (StatusCode::OK, "1").into_response()
        }
        How::Say(status, body, header) => {
            let mut answer = (StatusCode::from_u16(status).unwrap(), body).into_response();
            if let Some((name, value)) = header {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            answer
        }
        How::Hang => std::future::pending().await,
        How::Break => {
            take(events);
            let broken = futures_util::stream::iter([Ok(Bytes::from_static(b"{")), Err("broken")]);
            Body::from_stream(broken).into_response()
        }
    }
}

fn next(shared: &Shared, events: usize) -> How {
    let mut script = shared.script.lock().unwrap();
    script.asked.push(events);
    let more = script.answers.len() > 1;
    let how = if more { script.answers.pop_front() } else { script.answers.front().cloned() };
    how.unwrap_or(How::Take)
}

/// The events of a request that is as documented; otherwise, what is wrong with it.
fn read(
    shared: &Shared,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Vec<Value>, String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is = |what: &str, found: &dyn std::fmt::Debug, right: bool| {
        if right { Ok(()) } else { Err(format!("{what}: {found:?}")) }
    };
    is("method", method, *method == Method::POST)?;
    is("path", &uri.path(), uri.path() == shared.path)?;
    is("query", &uri.query(), uri.query() == Some("verbose=1&ip=0"))?;
    is("type", &header("content-type"), header("content-type") == Some("application/json"))?;
    is("encoding", &header("content-encoding"), header("content-encoding") == Some("gzip"))?;
    is("credentials", headers, header("authorization").is_none() && header("cookie").is_none())?;
    let mut json = Vec::new();
    let mut gzip = GzDecoder::new(&body[..]);
    gzip.read_to_end(&mut json).map_err(|error| format!("gzip: {error}"))?;
    is("after the gzip", &gzip.get_ref().len(), gzip.get_ref().is_empty())?;
    is("bytes", &json.len(), json.len() <= 2 * 1024 * 1024)?;
    let events: Vec<Value> = serde_json::from_slice(&json).map_err(|error| format!("JSON: {error}"))?;
    is("events", &events.len(), (1..=2000).contains(&events.len()))?;
    events.iter().try_for_each(|event| check(event, shared.token))?;
    Ok(events)
}

/// Ids that Mixpanel does not take, for users and for facts.
const NOBODY: [&str; 17] = [
    "00000000-0000-0000-0000-000000000000",
    "anon",
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "<nil>",
    "0",
    "-1",
    "true",
    "false",
    "[]",
    "{}",
];

/// Of an event: what it must have, what it may have, and nothing else.
fn check(event: &Value, token: &str) -> Result<(), String> {
    let is = |what: &str, right: bool| if right { Ok(()) } else { Err(format!("{what}: {event}")) };
    let outer = event.as_object().ok_or("an event that is no object")?;
    is("keys", outer.keys().all(|key| ["event", "properties"].contains(&key.as_str())))?;
    is("event", ["reconnect", "disconnect"].contains(&outer["event"].as_str().unwrap_or_default()))?;
    let properties = outer["properties"].as_object().ok_or("properties that are no object")?;
    let required = ["token", "time", "distinct_id", "$insert_id", "org", "role"];
    let optional = ["lesson", "room"];
    is("required", required.iter().all(|name| properties.contains_key(*name)))?;
    let known = |name: &str| required.contains(&name) || optional.contains(&name);
    is("unknown", properties.keys().all(|name| known(name)))?;
    let texts = || properties.iter().filter(|(name, _)| *name != "time");
    is("text", texts().all(|(_, value)| value.is_string()))?;
    is("length", texts().all(|(_, value)| value.as_str().is_some_and(|text| text.chars().count() <= 255)))?;
    let text = |name: &str| properties[name].as_str().unwrap_or_default();
    is("token", text("token") == token)?;
    is("distinct_id", !text("distinct_id").is_empty() && !NOBODY.contains(&text("distinct_id")))?;
    let id = text("$insert_id");
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    is("$insert_id", (1..=36).contains(&id.len()) && id.bytes().all(alphabet) && !NOBODY.contains(&id))?;
    // Milliseconds: from 1971 on, and no more than an hour ahead.
    let ahead = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    is("time", properties["time"].as_i64().is_some_and(|time| (31_536_000_000..=ahead).contains(&time)))
}
