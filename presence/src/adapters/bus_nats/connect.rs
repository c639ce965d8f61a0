//! The connection: how it is opened, kept for ever, and told apart from its predecessors. It starts while NATS is
//! away, and comes back by itself; whoever needs it now asks `Link::connected`.

use super::{
    error::Error,
    options::{Auth, Options},
};
use crate::ports::clock::Clock;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// What a subscription may leave unread; what comes then is dropped, which the tracker notices and repairs.
pub(super) const SUBSCRIPTION_CAPACITY: usize = 1024;
/// Commands that wait for the connection, mostly to subscribe and unsubscribe.
const COMMAND_CAPACITY: usize = 16 * 1024;
/// A peer that is gone without a word is noticed after two to three of these.
const PING_EVERY: Duration = Duration::from_secs(10);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF_MS: u64 = 5_000;

/// What the connection's own task tells us.
#[derive(Debug)]
pub(super) struct Signals {
    /// Changes whenever something happened to the connection.
    pub(super) news: watch::Sender<u64>,
    trouble: Mutex<Option<String>>,
}

impl Signals {
    pub(super) fn new() -> Self {
        Self { news: watch::Sender::new(0), trouble: Mutex::new(None) }
    }

    /// Why there is no connection.
    pub(super) fn trouble(&self) -> String {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone().unwrap_or_else(|| "no connection yet".to_owned())
    }

    /// Each new trouble is said once, not with every attempt.
    fn set_trouble(&self, reason: Option<String>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = reason.as_ref().filter(|reason| trouble.as_ref() != Some(reason)) {
            tracing::warn!(reason, "no connection to NATS; trying for ever");
        }
        *trouble = reason;
    }

    fn hear(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::info!("connected to NATS");
                self.set_trouble(None);
            }
            Event::Disconnected => self.set_trouble(Some("the connection was lost".to_owned())),
            Event::Closed | Event::Draining | Event::LameDuckMode => tracing::info!(%event, "NATS"),
            Event::SlowConsumer(_) => {
                tracing::debug!("a classroom's queue was full; what it lost is read again");
            }
            Event::ServerError(error) => tracing::warn!(%error, "NATS reports an error"),
            Event::ClientError(error) => self.set_trouble(Some(error.to_string())),
        }
        self.news.send_modify(|n| *n = n.wrapping_add(1));
    }
}

pub(super) async fn connect(
    options: &Options,
    clock: Arc<dyn Clock>,
    signals: Arc<Signals>,
) -> Result<Client, Error> {
    let (servers, auth) = addresses(options)?;
    let opening = ConnectOptions::new()
        .name(&options.name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_WITHIN)
        .ping_interval(PING_EVERY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .client_capacity(COMMAND_CAPACITY)
        .reconnect_delay_callback(move |attempts| backoff(attempts, clock.chance()))
        .event_callback(move |event| {
            signals.hear(&event);
            std::future::ready(())
        });
    let opening = with_tls(with_auth(opening, auth).await?, options);
    opening
        .connect(servers)
        .await
        .map_err(|error| Error::Options { what: "NATS servers", reason: error.to_string() })
}

/// Grows to five seconds; half of it is chance, so that replicas do not come back as one.
fn backoff(attempts: usize, chance: u64) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let full = (50 << attempts.min(7)).min(LONGEST_BACKOFF_MS);
    Duration::from_millis(full / 2 + chance % (full / 2 + 1))
}

/// The addresses without their secrets, which would reach the client library's log.
fn addresses(options: &Options) -> Result<(Vec<ServerAddr>, Auth), Error> {
    let bad = |reason: &str| Error::Options { what: "NATS servers", reason: reason.to_owned() };
    let mut auth = options.auth.clone();
    let mut addresses = vec![];
    for server in &options.servers.0 {
        let server = if server.contains("://") { server.clone() } else { format!("nats://{server}") };
        // The parser's own error would quote the address, secrets and all.
        let mut url: url::Url = server.parse().map_err(|_| bad("an address is no URL"))?;
        if let (Auth::None, Some(found)) = (&auth, in_url(&url)) {
            auth = found;
        }
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| bad("an address names no host"))?;
        let unknown = |_| bad("an address must begin with nats:// or tls://");
        addresses.push(ServerAddr::from_url(url).map_err(unknown)?);
    }
    if addresses.is_empty() {
        return Err(bad("none is given"));
    }
    Ok((addresses, auth))
}

fn in_url(url: &url::Url) -> Option<Auth> {
    let plain = percent_decoded;
    match (url.username(), url.password()) {
        ("", _) => None,
        (token, None) => Some(Auth::Token(plain(token))),
        (user, Some(password)) => Some(Auth::UserPassword { user: plain(user), password: plain(password) }),
    }
}

/// `%41` is `A`; what is no such triple stands for itself.
fn percent_decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = vec![];
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone().take(2).filter_map(|digit| char::from(digit).to_digit(16));
        match (byte, ahead.next(), ahead.next()) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                bytes.nth(1);
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

async fn with_auth(opening: ConnectOptions, auth: Auth) -> Result<ConnectOptions, Error> {
    match auth {
        Auth::None => Ok(opening),
        Auth::UserPassword { user, password } => Ok(opening.user_and_password(user, password)),
        Auth::Token(token) => Ok(opening.token(token)),
        Auth::CredentialsFile(path) => {
            // An error's kind says enough; its text may quote what is in the file.
            let bad = |reason: &dyn ToString| Error::Options {
                what: "NATS credentials file",
                reason: format!("{}: {}", path.display(), reason.to_string()),
            };
            let text = tokio::fs::read_to_string(&path).await.map_err(|error| bad(&error.kind()))?;
            opening.credentials(&text).map_err(|_| bad(&"it holds no user JWT and seed"))
        }
    }
}

fn with_tls(mut opening: ConnectOptions, options: &Options) -> ConnectOptions {
    let tls = &options.tls;
    if let Some(ca_file) = &tls.ca_file {
        opening = opening.add_root_certificates(ca_file.clone());
    }
    if let Some((certificate, key)) = &tls.client {
        opening = opening.add_client_certificate(certificate.clone(), key.clone());
    }
    opening.require_tls(*tls != super::options::Tls::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::bus_nats::options::Servers;

    fn options(server: &str) -> Options {
        Options { servers: Servers(vec![server.to_owned()]), ..Options::default() }
    }

    #[test]
    fn secrets_leave_the_address_and_never_show() {
        let options = options("nats://anna:s%3D3%2Bcret@nats.example:4222");
        let (addresses, auth) = addresses(&options).unwrap();
        assert_eq!(addresses[0].as_url_str(), "nats://nats.example:4222");
        let expected = Auth::UserPassword { user: "anna".into(), password: "s=3+cret".into() };
        assert_eq!(auth, expected);
        let shown = format!("{options:?} {auth:?}");
        assert!(!shown.contains("cret") && shown.contains("nats.example"), "{shown}");
    }

    #[test]
    fn a_lone_name_is_a_token_and_options_win() {
        let mut options = options("nats://t0ken@nats.example");
        assert_eq!(addresses(&options).unwrap().1, Auth::Token("t0ken".into()));
        options.auth = Auth::Token("other".into());
        assert_eq!(addresses(&options).unwrap().1, Auth::Token("other".into()));
    }

    #[test]
    fn a_bad_address_is_refused_without_being_quoted() {
        for bad in ["http://u:s3cret@h", "nats://u:s3cret@h:port", "nats:s3cret"] {
            let error = addresses(&options(bad)).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn backing_off_has_an_end() {
        assert_eq!(backoff(1, 7), Duration::ZERO);
        for (attempts, chance) in [(2, 0), (3, u64::MAX), (1000, u64::MAX)] {
            let wait = backoff(attempts, chance).as_millis();
            assert!((1..=u128::from(LONGEST_BACKOFF_MS)).contains(&wait), "{wait}");
        }
    }
}
