//! The reference: the events of the classroom apps on a server of `socketioxide`, whose author is not ours.
//!
//! Tests compare its frames with those of our door; benchmarks run it beside ours. It believes every token, knows no
//! sessions, and cleans nothing up. With `REFERENCE_REDIS_URL` and `REFERENCE_POSTGRES_URL` it does what a classroom's
//! backend does for each event; without them it keeps nothing. It says `listening PORT` once it does.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "whoever starts it reads the port and its troubles"
)]

mod backend;
mod events;
mod visitor;

use crate::backend::Backend;
use anyhow::{Context, Result};
use axum::Router;
use serde_json::Value;
use socketioxide::{
    SocketIo,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
};
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

/// As in `presence`, so that memory is compared with the same allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One thread: it is measured on one core, and handlers, which are tasks, keep the order of their events there.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let backend = Backend::from_environment().await?;
    let (layer, io) = SocketIo::new_layer();
    let let_in =
        move |socket: SocketRef, auth: TryData<Value>| events::let_in(socket, auth.0.ok(), backend.clone());
    io.ns("/", events::connected.with(let_in));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("find a port")?;
    println!("listening {}", listener.local_addr().context("find the port")?.port());
    axum::serve(listener, Router::new().layer(layer)).await.context("serve")
}
