//! The yardstick: the least that a WebSocket broadcaster can be. It knows no sessions, no tokens and no rooms: whoever
//! connects gets every line that the publisher writes, in the frame that presence would send.

use crate::tick;
use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_tungstenite::{
    accept_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

/// Frames that may wait for a socket. One that is full is dropped: the client sees it end.
const QUEUE: usize = 1024;
const READ_BUFFER: usize = 1024;

type Queues = Arc<Mutex<Vec<mpsc::Sender<Utf8Bytes>>>>;

/// Serves until it is killed. Prints both its ports, so that whoever started it can connect.
pub(crate) async fn run(coalesce: bool) -> Result<()> {
    let sockets = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen for sockets")?;
    let publisher = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen for the publisher")?;
    println!("{} {}", sockets.local_addr()?.port(), publisher.local_addr()?.port());
    let queues = Queues::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(broadcast(publisher, queues.clone()));
    loop {
        let (tcp, _) = sockets.accept().await.context("accept a socket")?;
        tasks.spawn(serve(tcp, queues.clone(), coalesce));
        while tasks.try_join_next().is_some() {}
    }
}

async fn broadcast(publisher: TcpListener, queues: Queues) -> Result<()> {
    let (tcp, _) = publisher.accept().await.context("accept the publisher")?;
    let mut lines = BufReader::new(tcp).lines();
    let mut seq = 0_u64;
    while let Some(payload) = lines.next_line().await? {
        seq += 1;
        let frame: Utf8Bytes = format!(
            r#"{{"id":{{"entity_type":"{}","operation":"{}","sequence_id":{seq}}},"payload":{payload},"seq":{seq}}}"#,
            tick::ENTITY,
            tick::OPERATION,
        )
        .into();
        let mut queues = queues.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        queues.retain(|queue| queue.try_send(frame.clone()).is_ok());
    }
    Ok(())
}

async fn serve(tcp: TcpStream, queues: Queues, coalesce: bool) -> Result<()> {
    tcp.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let mut socket = accept_async_with_config(tcp, Some(config)).await?;
    // The connect request; everybody is welcome.
    socket.next().await.context("a socket that says nothing")??;
    socket.send(Message::text(r#"{"type":"connect_success"}"#)).await?;
    let (queue, mut frames) = mpsc::channel(QUEUE);
    queues.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(queue);
    loop {
        tokio::select! {
            frame = frames.recv() => {
                let Some(frame) = frame else { return Ok(()) };
                socket.feed(Message::Text(frame)).await?;
                while coalesce && let Ok(frame) = frames.try_recv() {
                    socket.feed(Message::Text(frame)).await?;
                }
                socket.flush().await?;
            }
            message = socket.next() => if message.is_none_or(|message| message.is_err()) { return Ok(()) },
        }
    }
}
