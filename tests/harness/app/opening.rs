//! How a client of the Socket.IO door opens its connection, and as whom.

use crate::tokens::Tokens;
use anyhow::Result;
use serde_json::{Value, json};
use std::net::SocketAddr;
use url::Url;

/// By which transports a client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    WebSocket,
    Polling,
    /// Polling, then WebSocket: what Socket.IO clients do unless they are told otherwise.
    Upgrade,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Polling, Self::Upgrade];
}

/// A user of the classroom's apps, and what they use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub user: String,
    pub org: String,
    /// The token's `role`: `teacher`, `student`, `manager` or `teacher_hub`.
    pub role: &'static str,
}

impl Person {
    pub fn teacher(user: &str, org: &str) -> Self {
        Self::of(user, org, "teacher")
    }

    pub fn student(user: &str, org: &str) -> Self {
        Self::of(user, org, "student")
    }

    pub fn manager(user: &str, org: &str) -> Self {
        Self::of(user, org, "manager")
    }

    pub fn hub(user: &str, org: &str) -> Self {
        Self::of(user, org, "teacher_hub")
    }

    fn of(user: &str, org: &str, role: &'static str) -> Self {
        Self { user: user.into(), org: org.into(), role }
    }

    /// What the apps put into their query: managers and hubs say so by `product_type`, and call themselves teachers.
    pub fn query(&self) -> Vec<(String, String)> {
        let is_product = matches!(self.role, "manager" | "teacher_hub");
        let mut query = vec![("role", if is_product { "teacher" } else { self.role }), ("org_id", &self.org)];
        if is_product {
            query.push(("product_type", self.role));
        }
        query.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
    }

    /// The arguments of `join_lesson`.
    pub fn joining(&self, lesson: &str) -> Value {
        json!({ "user_id": self.user, "lesson_id": lesson, "role": self.role })
    }

    /// The arguments of `log_out`.
    pub fn logging_out(&self) -> Value {
        json!({ "user_id": self.user, "org_id": self.org })
    }
}

/// By what a lost connection is taken up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    pub pid: String,
    pub offset: Option<String>,
}

#[derive(Debug, Clone)]
#[must_use]
pub struct Opening {
    pub way: Way,
    /// Beside `EIO` and `transport`.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(&'static str, String)>,
    /// The payload of the CONNECT packet.
    pub auth: Option<Value>,
    /// A client that does not hands pings to the test.
    pub answers_pings: bool,
    /// Packets that wait for the test; when there are so many, the client stops reading.
    pub unread: usize,
}

impl Opening {
    pub fn bare(way: Way) -> Self {
        Self { way, query: vec![], headers: vec![], auth: None, answers_pings: true, unread: 16 * 1024 }
    }

    /// As the apps do it: everything in the query, the access token too.
    pub fn of(person: &Person, tokens: &Tokens) -> Result<Self> {
        let token = tokens.of_person(person)?;
        Ok(Self { query: person.query(), ..Self::bare(Way::WebSocket) }.with("auth", &token))
    }

    pub fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// Sets a key of the query.
    pub fn with(self, key: &str, value: &str) -> Self {
        let mut changed = self.without(key);
        changed.query.push((key.into(), value.into()));
        changed
    }

    pub fn without(mut self, key: &str) -> Self {
        self.query.retain(|(found, _)| found != key);
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets a key of the CONNECT packet's payload.
    pub fn auth(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.auth.get_or_insert_with(|| json!({}))[key] = value.into();
        self
    }

    /// Comes back as Socket.IO clients do.
    pub fn recovering(self, recovery: &Recovery) -> Self {
        let opening = self.auth("pid", recovery.pid.as_str());
        match &recovery.offset {
            Some(offset) => opening.auth("offset", offset.as_str()),
            None => opening,
        }
    }

    /// Does not answer pings.
    pub fn deaf(self) -> Self {
        Self { answers_pings: false, ..self }
    }

    /// Where requests of this connection go.
    pub fn url(&self, to: SocketAddr, transport: &str, sid: Option<&str>) -> Result<Url> {
        let scheme = if transport == "websocket" { "ws" } else { "http" };
        let mut url: Url = format!("{scheme}://{to}/socket.io/").parse()?;
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("EIO", "4").append_pair("transport", transport);
        pairs.extend_pairs(sid.map(|sid| ("sid", sid))).extend_pairs(&self.query);
        drop(pairs);
        Ok(url)
    }
}
