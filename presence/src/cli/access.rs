//! Whom a client command speaks to, and the token it shows.

use super::{Commands, Failure, TokenRequest, args};
use crate::config::{
    self, Config,
    text::{Period, Secret},
};
use presence_core::ids::Account;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::Url;
use uuid::Uuid;

/// A server, and how to get a token for it.
pub(super) struct Access<'a> {
    server: Url,
    token: Token<'a>,
}

enum Token<'a> {
    Given(Secret),
    /// Signed anew for each connect: it may have expired since.
    Signed {
        commands: &'a dyn Commands,
        config: Box<Config>,
        request: TokenRequest,
    },
}

/// How long a token of our own is good for.
const TTL: Period = Period::secs(60 * 60);

impl<'a> Access<'a> {
    /// Settings are read only if they are needed: a client of a server elsewhere may have none.
    pub(super) fn new(
        args: &args::Access,
        config: &dyn Fn() -> Result<Config, config::Error>,
        commands: &'a dyn Commands,
    ) -> Result<Self, Failure> {
        let server = match &args.server {
            Some(server) => server.clone(),
            None => own_server(config()?.public.addr)?,
        };
        let token = match &args.token {
            Some(token) => Token::Given(token.clone()),
            None => Token::Signed {
                commands,
                config: Box::new(config()?),
                request: TokenRequest {
                    account: args.account.clone().unwrap_or_else(somebody),
                    audience: args.audience.clone(),
                    org_id: None,
                    role: None,
                    classrooms: vec!["*".to_owned()],
                    ttl: TTL,
                },
            },
        };
        Ok(Self { server, token })
    }

    pub(super) fn token(&self) -> Result<Secret, Failure> {
        match &self.token {
            Token::Given(token) => Ok(token.clone()),
            Token::Signed { commands, config, request } => commands.mint(config, request),
        }
    }

    /// Where a path of the public HTTP API is on this server.
    pub(super) fn http(&self, path: &str) -> Result<Url, Failure> {
        self.server.join(path).map_err(|error| Failure::other("the server's URL cannot be used", error))
    }

    /// Where its WebSocket door is.
    pub(super) fn socket(&self) -> Result<Url, Failure> {
        let mut url = self.http("ws")?;
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme)
            .map_err(|()| Failure::plain("the server's URL cannot be used for a socket"))?;
        Ok(url)
    }
}

/// The server that these settings describe. One that listens everywhere listens here, too.
fn own_server(addr: SocketAddr) -> Result<Url, Failure> {
    let here: IpAddr = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let here = SocketAddr::new(here, addr.port());
    Url::parse(&format!("http://{here}/"))
        .map_err(|error| Failure::other("public.addr cannot be reached", error))
}

/// The user of this terminal; where it has none that fits, somebody new.
fn somebody() -> Account {
    let user = std::env::var("USER").ok().and_then(|user| user.parse().ok());
    user.unwrap_or_else(|| {
        let random = Uuid::new_v4().simple().to_string();
        format!("guest-{}", &random[..8]).parse().expect("letters, digits and a hyphen are an account")
    })
}
