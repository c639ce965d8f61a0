//! A client of `/socket.io/` that knows nothing of its protocols: one request, one frame at a time, as a test has them.

use futures_util::{SinkExt, StreamExt};
use presence_tests::{
    Context, Result, Server,
    app::{Opening, Person},
    bail, ensure,
    http::Answer,
    within,
};
use reqwest::Method;
use serde_json::Value;
use std::collections::VecDeque;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message},
};
use url::form_urlencoded::Serializer;

pub const SEPARATOR: char = '\x1e';
/// A connect packet for a namespace that nobody has: it is answered at once, and nothing comes of it.
pub const ECHO: &str = "40/echo,";
pub const ECHOED: &str = r#"44/echo,{"message":"Invalid namespace"}"#;

/// Somebody who opens connections to one server.
#[derive(Debug)]
pub struct Wire<'a> {
    server: &'a Server,
    /// What all its requests have in their query: who it is.
    who: String,
}

impl<'a> Wire<'a> {
    /// As the apps do it: everything in the query, the access token too.
    pub fn of(server: &'a Server, person: &Person) -> Result<Self> {
        Ok(Self::with(server, &Opening::of(person, server.tokens())?))
    }

    /// With the query of this opening; the rest of it is not looked at.
    pub fn with(server: &'a Server, opening: &Opening) -> Self {
        Self { server, who: Serializer::new(String::new()).extend_pairs(&opening.query).finish() }
    }

    pub fn path(&self, query: &str) -> String {
        format!("/socket.io/?{query}&{}", self.who)
    }

    pub async fn ask(&self, method: Method, query: &str, body: impl Into<reqwest::Body>) -> Result<Answer> {
        Answer::to(self.server.public(method, &self.path(query)).body(body)).await
    }

    /// A request that the server has, and whose sender has gone before its answer.
    pub async fn ask_and_go(&self, query: &str) -> Result<()> {
        let mut tcp = TcpStream::connect(self.server.public).await.context("connect")?;
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.path(query), self.server.public);
        tcp.write_all(request.as_bytes()).await.context("send a request")
    }

    /// What the server says of a new connection.
    pub async fn open(&self) -> Result<Polling<'_>> {
        let answer = self.ask(Method::GET, "EIO=4&transport=polling", "").await?;
        ensure!(answer.status == 200, "a handshake was refused: {answer:?}");
        let open = opened(&answer.body)?;
        let sid = open["sid"].as_str().context("a sid")?;
        Ok(Polling { wire: self, query: format!("EIO=4&transport=polling&sid={sid}"), open: open.clone() })
    }

    /// One that is let in.
    pub async fn enter(&self) -> Result<Polling<'_>> {
        let polling = self.open().await?;
        polling.say("40").await?;
        let answer = polling.hear().await?;
        ensure!(answer.starts_with(r#"40{"sid":""#), "not let in: {answer}");
        Ok(polling)
    }

    pub async fn websocket(&self, query: &str) -> Result<WebSocket> {
        let url = format!("ws://{}{}", self.server.public, self.path(query));
        let tcp = TcpStream::connect(self.server.public).await.context("connect")?;
        match within("the WebSocket handshake", client_async(url, tcp)).await? {
            Ok((stream, _)) => Ok(WebSocket { stream }),
            Err(Error::Http(response)) => {
                let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
                Err(Refused { status: response.status().as_u16(), code: code(&body) }.into())
            }
            Err(error) => Err(error).context("shake hands"),
        }
    }

    /// One that begins without polling, and has heard its open packet.
    pub async fn open_websocket(&self) -> Result<WebSocket> {
        let mut socket = self.websocket("EIO=4&transport=websocket").await?;
        opened(&socket.hear().await?)?;
        Ok(socket)
    }

    /// One that is let in too.
    pub async fn enter_websocket(&self) -> Result<WebSocket> {
        let mut socket = self.open_websocket().await?;
        socket.say("40").await?;
        let answer = socket.hear().await?;
        ensure!(answer.starts_with(r#"40{"sid":""#), "not let in: {answer}");
        Ok(socket)
    }

    pub async fn refused_websocket(&self, query: &str, code: u64) -> Result<()> {
        let refused = match self.websocket(query).await {
            Ok(_) => bail!("{query} was granted"),
            Err(error) => error.downcast::<Refused>()?,
        };
        ensure!(refused == Refused { status: 400, code: Some(code) }, "{query}: {refused}");
        Ok(())
    }
}

/// What a first packet says.
pub fn opened(packet: &str) -> Result<Value> {
    let json = packet.strip_prefix('0').with_context(|| format!("no open packet: {packet}"))?;
    serde_json::from_str(json).with_context(|| format!("understand {packet}"))
}

/// Engine.IO's own: 0 to 5.
fn code(body: &str) -> Option<u64> {
    serde_json::from_str::<Value>(body).ok()?["code"].as_u64()
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused with {status}, code {code:?}")]
pub struct Refused {
    pub status: u16,
    pub code: Option<u64>,
}

pub fn refused(answer: &Answer, expected: u64) -> Result<()> {
    ensure!(
        answer.status == 400 && code(&answer.body) == Some(expected),
        "expected code {expected}: {answer:?}"
    );
    ensure!(answer.content_type == "application/json", "{answer:?}");
    Ok(())
}

/// A connection that polls.
#[derive(Debug)]
pub struct Polling<'a> {
    wire: &'a Wire<'a>,
    /// Of its requests.
    pub query: String,
    pub open: Value,
}

impl Polling<'_> {
    pub async fn get(&self) -> Result<Answer> {
        self.wire.ask(Method::GET, &self.query, "").await
    }

    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Result<Answer> {
        self.wire.ask(Method::POST, &self.query, body).await
    }

    pub async fn say(&self, body: &str) -> Result<()> {
        let answer = self.post(body.to_owned()).await?;
        ensure!(answer.status == 200 && answer.body == "ok", "{body:?} was answered with {answer:?}");
        Ok(())
    }

    /// The body of the next answer.
    pub async fn hear(&self) -> Result<String> {
        let answer = self.get().await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(answer.content_type == "text/plain; charset=UTF-8", "{answer:?}");
        Ok(answer.body)
    }

    /// So many packets, in whatever answers they come.
    pub async fn hear_packets(&self, count: usize) -> Result<Vec<String>> {
        let mut packets = vec![];
        while packets.len() < count {
            packets.extend(self.hear().await?.split(SEPARATOR).map(str::to_owned));
        }
        Ok(packets)
    }

    /// Says it, and is heard; noops are what an upgrade lets go of polls with.
    pub async fn expect_alive(&self) -> Result<()> {
        self.say(ECHO).await?;
        let heard = async {
            loop {
                match self.hear().await?.as_str() {
                    "6" => {}
                    ECHOED => return Ok(()),
                    other => bail!("an echo came as {other}"),
                }
            }
        };
        within("an echo", heard).await?
    }

    /// The connection ends: what is said last, and then there is none of this sid.
    pub async fn expect_gone(&self) -> Result<VecDeque<String>> {
        let mut last = VecDeque::new();
        loop {
            let answer = self.get().await?;
            if answer.status != 200 {
                refused(&answer, 1)?;
                return Ok(last);
            }
            last.extend(answer.body.split(SEPARATOR).map(str::to_owned));
            ensure!(last.len() < 10, "it goes on: {last:?}");
        }
    }

    /// Where its WebSocket is.
    pub fn upgrade(&self) -> String {
        self.query.replace("polling", "websocket")
    }

    /// Changes over to a WebSocket, as clients do that have no request in flight.
    pub async fn change_over(&self) -> Result<WebSocket> {
        let mut socket = self.wire.websocket(&self.upgrade()).await?;
        socket.say("2probe").await?;
        let probed = socket.hear().await?;
        ensure!(probed == "3probe", "a probe was answered with {probed}");
        socket.say("5").await?;
        Ok(socket)
    }
}

#[derive(Debug)]
pub struct WebSocket {
    stream: WebSocketStream<TcpStream>,
}

impl WebSocket {
    pub async fn say(&mut self, text: &str) -> Result<()> {
        within("the server to read", self.stream.send(Message::text(text))).await?.context("send a frame")
    }

    pub async fn say_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let message = Message::binary(bytes.to_vec());
        within("the server to read", self.stream.send(message)).await?.context("send a frame")
    }

    /// The next frame, or that the connection has ended.
    pub async fn next(&mut self) -> Result<Option<String>> {
        match within("the next frame", self.stream.next()).await? {
            Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
            None | Some(Ok(Message::Close(_)) | Err(_)) => Ok(None),
            other => bail!("expected a text, and heard {other:?}"),
        }
    }

    pub async fn hear(&mut self) -> Result<String> {
        self.next().await?.context("the connection ended")
    }

    /// Nothing is said any more, and the connection ends.
    pub async fn expect_end(&mut self) -> Result<()> {
        match self.next().await? {
            None => Ok(()),
            Some(heard) => bail!("expected the end, and heard {heard}"),
        }
    }

    /// Says it, and is heard.
    pub async fn expect_alive(&mut self) -> Result<()> {
        self.say(ECHO).await?;
        let answer = self.hear().await?;
        ensure!(answer == ECHOED, "an echo came as {answer}");
        Ok(())
    }
}
