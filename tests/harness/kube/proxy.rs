//! What stands between an operator and the API server: counts what is written, and lets the operator be killed right after
//! the n-th write, which it never gets an answer to.
//!
//! A write that was let through before the kill and the kill right before the next one leave the same cluster behind, so one
//! of the two is enough.

use super::Kube;
use anyhow::{Context, Result};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// What an operator sends at once, and what it is answered but for watches, is far below.
const MOST: usize = 16 << 20;

/// Serves for as long as it lives.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    way: Arc<Way>,
    _serving: JoinSet<()>,
}

struct Way {
    client: kube::Client,
    /// After this write nothing is written any more.
    last: Option<usize>,
    written: Mutex<Vec<String>>,
    reached: watch::Sender<bool>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Lets so many writes through, or all.
    pub async fn start(kube: &Kube, last: Option<usize>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a proxy")?;
        let address = listener.local_addr().context("find the proxy's address")?;
        let (reached, _) = watch::channel(false);
        let way =
            Arc::new(Way { client: kube.plain_client().await?, last, written: Mutex::default(), reached });
        let routes = axum::Router::new().fallback(carry).with_state(way.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // It ends when the proxy is dropped.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, way, _serving: serving })
    }

    /// Returns once the last write was made and is not answered.
    pub async fn reached(&self) {
        let mut reached = self.way.reached.subscribe();
        // Its sender lives as long as we do.
        let _ = reached.wait_for(|reached| *reached).await;
    }

    /// What was written so far, but for leases and Events.
    pub fn written(&self) -> Vec<String> {
        self.way.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Way {
    /// The number of this write, if it is one that counts.
    fn number(&self, request: &Request) -> Option<usize> {
        let path = request.uri().path();
        let counts = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method())
            && !path.contains("/leases")
            && !path.contains("/events")
            && !path.contains("/selfsubject");
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if counts {
            written.push(format!("{} {path}", request.method()));
        }
        counts.then_some(written.len())
    }

    async fn forward(&self, request: Request) -> Result<Response> {
        let (mut parts, body) = request.into_parts();
        let body = to_bytes(body, MOST).await.context("read a request")?;
        parts.headers.remove("host");
        parts.headers.remove("content-length");
        let request = axum::http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
        let response = self.client.send(request).await.context("ask the API server")?;
        Ok(response.map(Body::new))
    }
}

async fn carry(State(way): State<Arc<Way>>, request: Request) -> Response {
    let number = way.number(&request);
    if let (Some(number), Some(last)) = (number, way.last)
        && number > last
    {
        return pending().await;
    }
    let answer = way.forward(request).await;
    if number.is_some() && number == way.last {
        way.reached.send_replace(true);
        return pending().await;
    }
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
}
