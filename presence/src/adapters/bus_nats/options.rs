//! What the composition root may choose about NATS. Secrets in here never reach `Debug`.

use crate::event::Body;
use std::{fmt, path::PathBuf, time::Duration};

#[derive(Debug, Clone)]
pub struct Options {
    /// `nats://host:port` or `tls://host:port`, any of one cluster. `user:password@` is accepted and taken out.
    pub servers: Servers,
    /// What the server's monitoring calls this connection: the replica's label.
    pub name: String,
    pub auth: Auth,
    pub tls: Tls,
    pub stream: StreamOptions,
    pub event_body: Body,
    /// How often a subscription compares itself with the stream, give or take a quarter: a request for each classroom, to
    /// notice the loss of a topic's last message. Nothing cheaper tells of it: the state of the stream says how far the
    /// stream is, not how far each topic is, and the ends of many classrooms in one answer come with all their bodies.
    pub check_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: Servers(vec!["nats://127.0.0.1:4222".to_owned()]),
            name: "presence".to_owned(),
            auth: Auth::None,
            tls: Tls::default(),
            stream: StreamOptions::default(),
            event_body: Body::default(),
            check_every: Duration::from_secs(10),
        }
    }
}

/// Addresses; what stands before their `@` is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Servers(pub Vec<String>);

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            self.0.iter().map(|server| server.rsplit_once('@').map_or(server.as_str(), |(_, host)| host));
        f.debug_list().entries(shown).finish()
    }
}

#[derive(Clone, PartialEq, Eq, Default)]
pub enum Auth {
    #[default]
    None,
    UserPassword {
        user: String,
        password: String,
    },
    Token(String),
    /// A `.creds` file: a user's JWT and the seed that signs for it.
    CredentialsFile(PathBuf),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::UserPassword { user, password: _ } => write!(f, "UserPassword({user:?}, …)"),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::CredentialsFile(path) => write!(f, "CredentialsFile({})", path.display()),
        }
    }
}

/// TLS is used when the server wants it, an address says `tls://`, or anything is set in here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The only authority to trust; without it, the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key, where the server asks for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The stream, where we are the ones to make it. A stream that exists keeps its own limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOptions {
    pub name: String,
    pub replicas: usize,
    pub storage: Storage,
    /// How far back a client may resume.
    pub max_age: Duration,
    pub max_bytes: u64,
    /// How long an event published again is known to be the same. At most `max_age`.
    pub duplicate_window: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            name: "classroom".to_owned(),
            replicas: 1,
            storage: Storage::File,
            max_age: Duration::from_hours(1),
            max_bytes: 1 << 30,
            duplicate_window: Duration::from_mins(10),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    File,
    Memory,
}
