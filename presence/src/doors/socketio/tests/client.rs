//! A client of Engine.IO that can do wrong: one HTTP request at a time on each connection, and a raw WebSocket.

use super::Place;
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

/// Long enough for everything that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// The answer to a request that was served.
    pub(super) fn ok(self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }

    pub(super) fn refused(&self, status: u16, code: u8) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.starts_with(&format!("{{\"code\":{code},")), "{self:?}");
    }

    pub(super) fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line.eq_ignore_ascii_case(header))
    }
}

/// A request that was sent, and is not answered yet.
pub(super) struct Asked(TcpStream);

impl Asked {
    pub(super) async fn answer(mut self) -> Answer {
        let mut read = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut read)).await.expect("an answer comes").unwrap();
        let text = String::from_utf8(read).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("an answer: {text}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

impl Asked {
    /// Whether the connection ends without an answer.
    pub(super) async fn is_cut_off(&mut self) -> bool {
        let mut read = Vec::new();
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut read)).await.expect("it ends");
        read.is_empty()
    }
}

impl Place {
    /// A POST whose body does not come, once the service waits for it.
    pub(super) async fn half_a_post(&self, query: &str) -> TcpStream {
        let mut tcp = TcpStream::connect(self.address).await.unwrap();
        let line = format!("POST /socket.io/?{query} HTTP/1.1\r\nhost: app\r\n");
        let head = format!("{line}expect: 100-continue\r\ncontent-length: 2\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut read = [0; 12];
        timeout(PATIENCE, tcp.read_exact(&mut read)).await.expect("it is asked for").unwrap();
        assert_eq!(&read, b"HTTP/1.1 100");
        tcp
    }

    pub(super) async fn ask(&self, method: &str, query: &str, (head, body): (&str, &[u8])) -> Asked {
        let mut tcp = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let line = format!("{method} /socket.io/?{query} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n");
        let head = format!("{line}content-length: {length}\r\n{head}\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        // One who is refused early may be gone by now.
        let _ = tcp.write_all(body).await;
        Asked(tcp)
    }

    pub(super) async fn get(&self, query: &str) -> Answer {
        self.ask("GET", query, ("", b"")).await.answer().await
    }

    /// A new connection that polls, and what each of its requests has in its query.
    pub(super) async fn open_polling(&self, more: &str) -> String {
        let query = format!("EIO=4&transport=polling{more}");
        let open = self.get(&query).await.ok();
        let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
        format!("{query}&sid={}", open["sid"].as_str().unwrap())
    }

    /// The same, and the client has been let in.
    pub(super) async fn enter_polling(&self) -> String {
        let own = self.open_polling("").await;
        assert_eq!(self.post(&own, "40").await.ok(), "ok");
        assert_eq!(self.get(&own).await.ok(), "4hello none");
        own
    }

    pub(super) async fn post(&self, query: &str, body: &str) -> Answer {
        let head = "content-type: text/plain;charset=UTF-8\r\n";
        self.ask("POST", query, (head, body.as_bytes())).await.answer().await
    }

    pub(super) async fn websocket(&self, query: &str) -> Result<Channel, u16> {
        let request = format!("ws://app/socket.io/?{query}").into_client_request().unwrap();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        match client_async(request, tcp).await {
            Ok((socket, _)) => Ok(Channel(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A WebSocket.
pub(super) struct Channel(WebSocketStream<TcpStream>);

impl Channel {
    pub(super) async fn say(&mut self, frame: impl Into<Message>) {
        self.0.send(frame.into()).await.unwrap();
    }

    pub(super) async fn hear(&mut self) -> Message {
        timeout(PATIENCE, self.0.next()).await.expect("a frame comes").expect("it is open").unwrap()
    }

    pub(super) async fn hear_text(&mut self) -> String {
        self.hear().await.into_text().unwrap().to_string()
    }

    /// The close frame's code, or nothing where the connection just ends.
    pub(super) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("it ends") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}
