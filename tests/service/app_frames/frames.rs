//! What is said to both servers, and how their answers are made comparable.

use futures_util::{FutureExt, SinkExt, StreamExt, future::LocalBoxFuture};
use presence_tests::{
    App, Context, Error, Heard, Opening, Person, Result, Server, Way,
    app::{Frame, Line, Polling, websocket},
    bail,
    http::Answer,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio_tungstenite::tungstenite::Message;

/// A line of what was said and heard, without what differs from run to run.
pub(super) type Told = String;

pub(super) type Script = fn(Frames) -> LocalBoxFuture<'static, Result<Vec<Told>>>;

pub(super) const SCRIPTS: &[(&str, Script)] = &[
    ("connect and leave", |frames| frames.connect_and_leave().boxed_local()),
    ("acknowledgements", |frames| frames.acknowledgements().boxed_local()),
    ("events", |frames| frames.events().boxed_local()),
    ("refused", |frames| frames.refused().boxed_local()),
    ("another namespace", |frames| frames.another_namespace().boxed_local()),
    ("an event before its connect", |frames| frames.an_event_before_its_connect().boxed_local()),
    ("no packets", |frames| frames.no_packets().boxed_local()),
    ("an upgrade by hand", |frames| frames.an_upgrade_by_hand().boxed_local()),
    ("bad requests", |frames| frames.bad_requests().boxed_local()),
];

/// One server, one way to it, and whoever comes.
pub(super) struct Frames {
    server: Server,
    to: SocketAddr,
    way: Way,
    lesson: String,
    /// Of an org of this test alone.
    teacher: Person,
    told: Vec<Told>,
}

impl Frames {
    /// `server` makes the tokens, wherever they are shown.
    pub(super) fn with(server: &Server, to: SocketAddr, way: Way, lesson: &str, teacher: &Person) -> Self {
        Self {
            server: server.clone(),
            to,
            way,
            lesson: lesson.to_owned(),
            teacher: teacher.clone(),
            told: vec![],
        }
    }

    fn opening(&self, person: &Person) -> Result<Opening> {
        Ok(self.server.opening(person)?.by(self.way))
    }

    async fn connect(&self, person: &Person) -> Result<App> {
        let mut app = App::connect(&person.user, self.to, &self.opening(person)?).await?;
        if self.way == Way::Upgrade {
            app.expect_upgraded().await?;
        }
        Ok(app)
    }

    /// What an app said and heard.
    fn tell(&mut self, app: &App) {
        let handshake = serde_json::to_value(app.handshake()).unwrap_or_default();
        self.told.push(format!("open {}", bare(&handshake)));
        self.told.extend(app.lines.iter().filter_map(normal));
    }

    async fn connect_and_leave(mut self) -> Result<Vec<Told>> {
        let mut app = self.connect(&self.teacher).await?;
        app.say("41").await?;
        app.hang_up().await?;
        app.drain().await?;
        self.tell(&app);
        Ok(self.told)
    }

    async fn acknowledgements(mut self) -> Result<Vec<Told>> {
        let (teacher, other) = (self.teacher.clone(), Person::student("s-1", &self.teacher.org));
        let mut app = self.connect(&teacher).await?;
        app.ask("join_lesson", &teacher.joining("nowhere")).await?;
        app.ask("join_lesson", &other.joining(&self.lesson)).await?;
        app.ask("join_lesson", &json!({ "role": "teacher" })).await?;
        app.ask("join_lesson", &json!("lesson")).await?;
        let id = app.emit_binary_for_ack("join_lesson", b"lesson").await?;
        app.expect_ack(id).await?;
        app.emit("nothing_known", &json!({})).await?;
        app.emit_for_ack("nothing_known", &json!({})).await?;
        app.ask("join_lesson", &teacher.joining(&self.lesson)).await?;
        app.ask("log_out", &teacher.logging_out()).await?;
        app.emit("log_out", &teacher.logging_out()).await?;
        app.ask("log_out", &other.logging_out()).await?;
        self.tell(&app);
        Ok(self.told)
    }

    async fn events(mut self) -> Result<Vec<Told>> {
        let (teacher, org) = (self.teacher.clone(), self.teacher.org.clone());
        let mut manager = self.connect(&Person::manager("m-1", &org)).await?;
        let mut hub = self.connect(&Person::hub("h-1", &org)).await?;
        let mut app = self.connect(&teacher).await?;
        app.ask("log_out", &teacher.logging_out()).await?;
        manager.expect_event("log_out").await?;
        app.say("41").await?;
        hub.expect_event("teacher_disconnect").await?;
        self.tell(&manager);
        self.tell(&hub);
        Ok(self.told)
    }

    async fn refused(mut self) -> Result<Vec<Told>> {
        let opening = self.opening(&self.teacher)?.without("auth");
        let mut app = App::knock("nobody", self.to, &opening).await?;
        app.ask_in(&opening).await?;
        app.expect_refused().await?;
        self.tell(&app);
        Ok(self.told)
    }

    async fn another_namespace(mut self) -> Result<Vec<Told>> {
        let mut app = self.connect(&self.teacher).await?;
        app.say("40/admin,").await?;
        app.expect_refused().await?;
        // The connection lives.
        app.ask("log_out", &self.teacher.logging_out()).await?;
        self.tell(&app);
        Ok(self.told)
    }

    async fn an_event_before_its_connect(mut self) -> Result<Vec<Told>> {
        let mut app = App::knock("hasty", self.to, &self.opening(&self.teacher)?).await?;
        app.emit("join_lesson", &self.teacher.joining(&self.lesson)).await?;
        app.drain().await?;
        self.tell(&app);
        Ok(self.told)
    }

    async fn no_packets(mut self) -> Result<Vec<Told>> {
        for nonsense in NONSENSE {
            let mut app = self.connect(&self.teacher).await?;
            app.say(nonsense).await?;
            let lives = lives(&mut app, &self.teacher).await?;
            self.told.push(format!("{nonsense:?}: the connection {}", if lives { "lives" } else { "ends" }));
        }
        Ok(self.told)
    }

    /// Step by step what a client does in one go: a poll waits while a WebSocket takes the connection over.
    async fn an_upgrade_by_hand(mut self) -> Result<Vec<Told>> {
        if self.way != Way::Upgrade {
            return Ok(vec![]);
        }
        let opening = self.opening(&self.teacher)?;
        let mut polling = Polling::new(self.to, &opening, None)?;
        let handshake = polling.get().await?;
        let sid = sid_of(&handshake)?;
        polling.name(&sid);
        polling.post(&[text("40")]).await?;
        let let_in = polling.get().await?;
        let mut stream = websocket(self.to, &opening, Some(&sid)).await?;
        let probing = async {
            stream.send(Message::text("2probe")).await?;
            let answer = stream.next().await.context("the WebSocket ended")??;
            Ok::<_, Error>(text(answer.to_text()?))
        };
        let releasing = async {
            let mut released = vec![];
            while !released.contains(&text("6")) {
                released.extend(polling.get().await?);
            }
            Ok(released)
        };
        let (released, answer) = tokio::try_join!(releasing, probing)?;
        stream.send(Message::text("5")).await?;
        let ask = format!("420{}", json!(["log_out", self.teacher.logging_out()]));
        stream.send(Message::text(ask)).await?;
        let acknowledged = stream.next().await.context("the WebSocket ended")??;
        let heard = [handshake, let_in, released, vec![answer, text(acknowledged.to_text()?)]];
        for frame in heard.concat() {
            match frame {
                // The reference pings at once, and then from time to time.
                Frame::Text(ping) if ping == "2" => {}
                Frame::Text(text) => self.told.push(format!("< {}", bare_text(&text))),
                Frame::Binary(bytes) => self.told.push(format!("< {} bytes", bytes.len())),
            }
        }
        Ok(self.told)
    }

    async fn bad_requests(mut self) -> Result<Vec<Told>> {
        if self.way != Way::Polling {
            return Ok(vec![]);
        }
        let http = reqwest::Client::builder().no_proxy().build()?;
        for (method, query) in BAD_REQUESTS {
            let url = format!("http://{}/socket.io/{query}", self.to);
            let answer = Answer::to(http.request(method.clone(), url)).await?;
            // The reference writes codes as texts; npm's server writes numbers, and so do we.
            let body = bare_text(&answer.body).replace(['"'], "");
            self.told.push(format!("{method} {query}: {} {body}", answer.status));
        }
        Ok(self.told)
    }
}

fn text(of: &str) -> Frame {
    Frame::Text(of.to_owned())
}

fn sid_of(handshake: &[Frame]) -> Result<String> {
    let Some(Frame::Text(open)) = handshake.first() else { bail!("the handshake is {handshake:?}") };
    let open: Value = serde_json::from_str(open.trim_start_matches('0'))?;
    Ok(open["sid"].as_str().context("an open packet names a sid")?.to_owned())
}

/// Whether the connection survives what was said last: whatever comes behind it is answered, or the end comes.
async fn lives(app: &mut App, who: &Person) -> Result<bool> {
    let Ok(id) = app.emit_for_ack("log_out", &who.logging_out()).await else { return Ok(false) };
    loop {
        match app.next().await? {
            Heard::Packet(packet) if packet.id == Some(id) => return Ok(true),
            Heard::Gone(_) => return Ok(false),
            _ => {}
        }
    }
}

/// What is no packet, by Engine.IO or by Socket.IO.
const NONSENSE: &[&str] = &[
    "4",
    "49",
    "42",
    "42{}",
    "42[]",
    "42[1]",
    "42[\"a\"",
    "42[\"a\"]x",
    "4251-[]",
    "45-[\"a\"]",
    "451-[\"a\",1]",
    "44{\"message\":\"\"}",
    "9",
    "0",
    "1",
    "hello",
];

const BAD_REQUESTS: &[(Method, &str)] = &[
    (Method::GET, ""),
    (Method::GET, "?EIO=3&transport=polling"),
    (Method::GET, "?EIO=4"),
    (Method::GET, "?EIO=4&transport=pigeon"),
    (Method::GET, "?EIO=4&transport=websocket"),
    (Method::GET, "?EIO=4&transport=polling&sid=unknown"),
    (Method::POST, "?EIO=4&transport=polling&sid=unknown"),
    (Method::POST, "?EIO=4&transport=polling"),
    (Method::PUT, "?EIO=4&transport=polling"),
];

/// A line that says more than that the run went on.
fn normal(line: &Line) -> Option<Told> {
    match line {
        Line::Sent(text) => Some(format!("> {}", bare_text(text))),
        // By which code is the transport's business.
        Line::Heard(text) if text.starts_with("Closed(") => None,
        Line::Heard(text) if text.starts_with("Gone(") => Some("< the end".into()),
        Line::Heard(text) => Some(format!("< {}", bare_text(text))),
    }
}

/// A packet: what stands before its JSON as it is, the JSON without what differs from run to run.
fn bare_text(text: &str) -> String {
    let json = text.find(['{', '[']).unwrap_or(text.len());
    let (head, tail) = text.split_at(json);
    match serde_json::from_str(tail) {
        Ok(value) => format!("{head}{}", bare(&value)),
        Err(_) => text.to_owned(),
    }
}

/// Keys in order; ids, and texts for people, as what they are.
fn bare(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            let bare = sorted.into_iter().map(|(key, value)| match key.as_str() {
                "sid" | "pid" | "message" | "user_id" | "lesson_id" | "agents" | "agents_total" | "seq"
                | "session_id" => format!("{key}: …"),
                _ => format!("{key}: {}", bare(value)),
            });
            format!("{{{}}}", bare.collect::<Vec<_>>().join(", "))
        }
        Value::Array(all) => format!("[{}]", all.iter().map(bare).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
