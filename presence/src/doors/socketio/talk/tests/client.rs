//! A client without a network: packets go in and come out of the very loop that serves real ones.

use crate::{
    doors::socketio::{Opening, Talk},
    engine::Engine,
    event::Tongue,
    flows::connect::Token,
    runner::{Terms, run},
    transport::{Broken, Incoming, Outgoing, Transport},
};
use bytes::Bytes;
use presence_core::{session::Rules, time::millis};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A wire that is never full.
struct Wire {
    incoming: UnboundedReceiver<Incoming>,
    outgoing: UnboundedSender<Outgoing>,
}

impl Transport for Wire {
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        self.incoming.poll_recv(cx).map(|incoming| incoming.unwrap_or(Incoming::Broken))
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, frame: Outgoing) {
        let _ = self.outgoing.send(frame);
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn trust(&mut self) {}
}

pub(super) struct App {
    say: UnboundedSender<Incoming>,
    heard: UnboundedReceiver<Outgoing>,
    pub(super) sid: String,
    pub(super) pid: String,
}

impl App {
    /// A connection that has said nothing. `kind` is a role or a product type.
    pub(super) fn open(engine: &Arc<Engine>, kind: &str, org: &str, token: Option<&str>) -> Self {
        let is_role = matches!(kind, "teacher" | "student");
        let word = |it: bool| it.then(|| kind.to_owned()).filter(|kind| !kind.is_empty());
        Self::open_with(
            engine,
            Opening {
                role: word(is_role),
                product_type: word(!is_role),
                org_id: Some(org.to_owned()),
                token: token.map(|token| Token::new(token.to_owned())),
            },
        )
    }

    pub(super) fn open_with(engine: &Arc<Engine>, opening: Opening) -> Self {
        let ((say, incoming), (outgoing, heard)) = (unbounded_channel(), unbounded_channel());
        let config = &engine.deps.config.socketio;
        let rules = Rules {
            auth_timeout: millis(config.connect_timeout.0),
            ping_interval: millis(config.ping_interval.0),
            pong_timeout: millis(config.ping_timeout.0),
            follows: false,
            ..engine.rules
        };
        let terms = Terms { rules, tongue: Tongue::SocketIo };
        let wire = Wire { incoming, outgoing };
        engine.tasks.start_to_finish(run(engine.clone(), terms, (wire, Talk::new(opening)), ()));
        Self { say, heard, sid: String::new(), pid: String::new() }
    }

    /// One that is in. `user` is `sub`; its token admits to `math`.
    pub(super) async fn enter(engine: &Arc<Engine>, kind: &str, user: &str) -> Self {
        let mut app = Self::open(engine, kind, "o", Some(&format!("{user}|o|{kind}|math")));
        app.say("0");
        app.welcome().await;
        app
    }

    /// One that takes up `former`, with the offset that its client had.
    pub(super) async fn come_back(
        engine: &Arc<Engine>,
        (kind, user): (&str, &str),
        pid: &str,
        offset: Option<&str>,
    ) -> Self {
        let mut app = Self::open(engine, kind, "o", None);
        let token = format!("{user}|o|{kind}|math");
        let mut auth = json!({ "token": token, "pid": pid });
        if let Some(offset) = offset {
            auth["offset"] = offset.into();
        }
        app.say(&format!("0{auth}"));
        app.welcome().await;
        app
    }

    async fn welcome(&mut self) {
        let answer = self.hear().await;
        let ids: Value = serde_json::from_str(answer.strip_prefix("40").expect(&answer)).unwrap();
        self.sid = ids["sid"].as_str().unwrap().to_owned();
        self.pid = ids["pid"].as_str().unwrap().to_owned();
    }

    /// A Socket.IO packet.
    pub(super) fn say(&self, packet: &str) {
        self.say.send(Incoming::Text(Bytes::copy_from_slice(packet.as_bytes()))).unwrap();
    }

    pub(super) fn say_bytes(&self, attachment: &'static [u8]) {
        self.say.send(Incoming::Binary(Bytes::from_static(attachment))).unwrap();
    }

    /// The next Engine.IO packet, or how it ends.
    pub(super) async fn hear(&mut self) -> String {
        match timeout(PATIENCE, self.heard.recv()).await.expect("nothing is said") {
            Some(Outgoing::Text(text)) => String::from_utf8(text.to_vec()).unwrap(),
            Some(Outgoing::Close(reason)) => format!("close {}", reason.row().name),
            Some(other) => format!("{other:?}"),
            None => "gone".to_owned(),
        }
    }

    /// What has been said and not heard yet.
    pub(super) fn unheard(&self) -> usize {
        self.heard.len()
    }

    /// Emits an event, and hears the acknowledgement, which comes next.
    pub(super) async fn ask(&mut self, event: &str, data: &Value) -> Value {
        self.say(&format!("27{}", json!([event, data])));
        let answer = self.hear().await;
        let mut answer: Value = serde_json::from_str(answer.strip_prefix("437").expect(&answer)).unwrap();
        answer[0].take()
    }

    pub(super) async fn join(&mut self, user: &str, role: &str) -> Value {
        let joined = self.ask("join_lesson", &wish(user, role)).await;
        assert_eq!(joined["status"], "SUCCESS", "{joined}");
        joined["data"].clone()
    }

    /// The next event of the classroom: `entered web.a.b`, and its offset.
    pub(super) async fn hear_event(&mut self) -> (String, String) {
        let heard = self.hear().await;
        let event: Value = serde_json::from_str(heard.strip_prefix("42").expect(&heard)).unwrap();
        assert_eq!(event[0], "event", "{heard}");
        assert_eq!(event[1]["seq"].to_string(), event[2].as_str().unwrap());
        let who = event[1]["payload"]["agent_id"].as_str().unwrap_or_default();
        let what = event[1]["id"]["operation"].as_str().unwrap();
        (format!("{what} {who}"), event[2].as_str().unwrap().to_owned())
    }

    /// The connection breaks.
    pub(super) fn break_off(self) {
        drop(self);
    }
}

pub(super) fn wish(user: &str, role: &str) -> Value {
    json!({ "user_id": user, "lesson_id": "math", "role": role })
}
