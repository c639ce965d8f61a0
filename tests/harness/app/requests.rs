//! The requests of Engine.IO, one by one: also for tests that send what no client would.

use super::{Opening, engine::Frame};
use crate::wait;
use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, client::IntoClientRequest, http::HeaderValue},
};
use url::Url;

pub type Stream = WebSocketStream<TcpStream>;

/// Between the packets of a body.
const SEPARATOR: char = '\x1e';

/// A request that the server did not grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server refused with {status}: {body}")]
pub struct Refused {
    pub status: u16,
    pub body: String,
}

impl Refused {
    /// Engine.IO's own code: 0 to 5.
    pub fn code(&self) -> Option<u64> {
        serde_json::from_str::<Value>(&self.body).ok()?["code"].as_u64()
    }
}

/// Opens a WebSocket, for a new connection or as the upgrade of an old one; a server that refuses is a `Refused`.
pub async fn websocket(to: SocketAddr, opening: &Opening, sid: Option<&str>) -> Result<Stream> {
    let url = opening.url(to, "websocket", sid)?;
    let mut request = url.as_str().into_client_request().context("make a request")?;
    for (name, value) in &opening.headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).context("a header's value")?);
    }
    let shaking = async {
        let tcp = TcpStream::connect(to).await.context("connect")?;
        tcp.set_nodelay(true).context("set TCP_NODELAY")?;
        match client_async(request, tcp).await {
            Ok((stream, _)) => Ok(stream),
            Err(tungstenite::Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                let body = String::from_utf8_lossy(body).into_owned();
                Err(Refused { status: response.status().as_u16(), body }.into())
            }
            Err(error) => Err(anyhow::Error::from(error).context("shake hands")),
        }
    };
    wait::within("the WebSocket handshake", shaking).await?
}

/// A connection that polls. Each request takes a TCP connection of its own, and so any replica behind a balancer.
#[derive(Debug, Clone)]
pub struct Polling {
    http: reqwest::Client,
    url: Url,
    headers: Vec<(&'static str, String)>,
}

impl Polling {
    /// Without a sid, its first `get` is a handshake.
    pub fn new(to: SocketAddr, opening: &Opening, sid: Option<&str>) -> Result<Self> {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build();
        Ok(Self {
            http: http.context("make an HTTP client")?,
            url: opening.url(to, "polling", sid)?,
            headers: opening.headers.clone(),
        })
    }

    /// Names the connection in all requests from here on.
    pub fn name(&mut self, sid: &str) {
        self.url.query_pairs_mut().append_pair("sid", sid);
    }

    /// Waits for packets. A server that refuses is a `Refused`.
    pub async fn get(&self) -> Result<Vec<Frame>> {
        let body = self.answer(Method::GET, None).await?;
        body.split(SEPARATOR).map(unpacked).collect()
    }

    pub async fn post(&self, frames: &[Frame]) -> Result<()> {
        let packets: Vec<String> = frames.iter().map(packed).collect();
        self.post_raw(packets.join(&SEPARATOR.to_string())).await
    }

    pub async fn post_raw(&self, body: impl Into<reqwest::Body>) -> Result<()> {
        let answer = self.answer(Method::POST, Some(body.into())).await?;
        ensure!(answer == "ok", "a POST was answered with {answer}");
        Ok(())
    }

    async fn answer(&self, method: Method, body: Option<reqwest::Body>) -> Result<String> {
        let mut request = self.http.request(method, self.url.clone());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "text/plain;charset=UTF-8").body(body);
        }
        let response = request.send().await.context("send a request")?;
        let status = response.status().as_u16();
        let body = response.text().await.context("read an answer")?;
        if status == 200 { Ok(body) } else { Err(Refused { status, body }.into()) }
    }
}

fn packed(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) => text.clone(),
        Frame::Binary(bytes) => format!("b{}", STANDARD.encode(bytes)),
    }
}

fn unpacked(packet: &str) -> Result<Frame> {
    Ok(match packet.strip_prefix('b') {
        Some(base64) => Frame::Binary(STANDARD.decode(base64).context("read base64")?),
        None => Frame::Text(packet.into()),
    })
}
