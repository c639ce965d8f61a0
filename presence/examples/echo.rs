//! `/ws` with the product's own handshake and frame code, and an echo behind it: what the Autobahn suite talks to.

use axum::{Router, extract::Request, response::Response, routing};
use presence::{
    doors::websocket::{Limits, Socket, handshake},
    lifecycle::{serve, tasks::Tasks},
    transport::{Broken, Incoming, Outgoing, Transport},
};
use presence_core::close::Reason;
use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

/// The largest message of the cases that are run.
const LIMITS: Limits = Limits { untrusted: 65_536, trusted: 65_536 };

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into()).parse()?;
    let tasks = Tasks::default();
    let routes = Router::new().route(
        "/ws",
        routing::get({
            let tasks = tasks.clone();
            move |request: Request| async move { upgrade(&tasks, request) }
        }),
    );
    let cap = serve::Cap { most: 1024, refused: Box::new(|| {}) };
    serve::serve(serve::bind(address, "the first argument")?, routes, tasks, cap).await;
    Ok(())
}

fn upgrade(tasks: &Tasks, request: Request) -> Response {
    let (response, upgrading) = handshake::answer(request, LIMITS);
    if let Some(upgrading) = upgrading {
        tasks.start("echo", async move {
            if let Some(socket) = upgrading.await {
                let mut echo = Echo { socket, waiting: VecDeque::new(), closing: false };
                std::future::poll_fn(|cx| echo.poll(cx)).await;
            }
        });
    }
    response
}

struct Echo {
    socket: Socket,
    waiting: VecDeque<Outgoing>,
    closing: bool,
}

impl Echo {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Poll::Ready(Err(Broken)) = self.poll_write(cx) {
                return Poll::Ready(());
            }
            let close = match ready!(self.socket.poll_incoming(cx)) {
                Incoming::Broken => return Poll::Ready(()),
                Incoming::PeerClosed if self.closing => return Poll::Ready(()),
                Incoming::PeerClosed => Reason::Normal,
                Incoming::Violation(reason) => reason,
                Incoming::Text(text) => {
                    self.waiting.push_back(Outgoing::Text(text));
                    continue;
                }
                Incoming::Binary(bytes) => {
                    self.waiting.push_back(Outgoing::Binary(bytes));
                    continue;
                }
                Incoming::Ping | Incoming::Pong => continue,
            };
            if self.closing {
                return Poll::Ready(());
            }
            self.closing = true;
            self.waiting.push_back(Outgoing::Close(close));
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.waiting.is_empty() {
            ready!(self.socket.poll_ready(cx))?;
            if let Some(frame) = self.waiting.pop_front() {
                self.socket.send(frame);
            }
        }
        self.socket.poll_flush(cx)
    }
}
