//! A WebSocket whose connection another replica holds: two TCP connections, copied into each other.
//!
//! A tunnel at rest has no buffer; one that carries something has one a side, and reads on once that is written. It
//! ends with either of its ends, and while this replica lets go.

use super::{
    link::{Connection, through},
    parting::told_to_go,
};
use crate::{engine::Engine, lifecycle::serve::Peer, telemetry::Counted};
use futures_util::future::{Either, select};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// Read at a time, and the most that is under way a side.
const CHUNK: usize = 16 * 1024;
/// How long the client and the owner may take to switch, once both have been answered.
const SWITCH_PATIENCE: Duration = Duration::from_secs(5);
/// Once one end has ended, what the other still has to say is waited for: its close frame.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Both ends, answered, and not switched yet.
pub(super) struct Ends {
    pub(super) client: OnUpgrade,
    pub(super) owner: OnUpgrade,
    /// What `owner` comes out of, as long as it is polled.
    pub(super) connection: Connection,
}

/// One end.
struct End {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    /// What was read of it before it was an end.
    early: Vec<u8>,
}

/// Copies until an end ends or this replica has let go long enough. `place` is the client's among the connections.
pub(super) async fn run(engine: Arc<Engine>, ends: Ends, place: Option<Peer>) {
    let Some((client, owner)) = switch(ends).await else { return };
    let _open = Counted::new(&engine.deps.metrics.tunnels);
    let socketio = &engine.deps.config.socketio;
    // A client that takes nothing for so long has not answered its pings either.
    let patience = socketio.ping_interval.0 + socketio.ping_timeout.0;
    tokio::select! {
        biased;
        () = told_to_go(&engine) => {}
        () = both(client, owner, patience) => {}
    }
    drop(place);
}

async fn switch(ends: Ends) -> Option<(End, End)> {
    let Ends { client, owner, mut connection } = ends;
    let both = async { tokio::try_join!(client, owner).ok() };
    let (client, owner) = timeout(SWITCH_PATIENCE, through(&mut connection, both)).await.ok()??;
    Some((end(client)?, end(owner)?))
}

fn end(upgraded: Upgraded) -> Option<End> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    let (from, to) = parts.io.into_inner().into_split();
    // A copy: the bytes themselves would keep hyper's whole read buffer for as long as the tunnel lives.
    Some(End { from, to, early: parts.read_buf.to_vec() })
}

/// Returns when both directions have ended, or one of them for long enough, or badly.
async fn both(client: End, owner: End, patience: Duration) {
    let up = pin!(carry(client.from, client.early, owner.to, patience));
    let down = pin!(carry(owner.from, owner.early, client.to, patience));
    // What the owner says is looked for first: it is the one that ends connections.
    let (first, other) = match select(down, up).await {
        Either::Left((first, up)) => (first, Either::Left(up)),
        Either::Right((first, down)) => (first, Either::Right(down)),
    };
    if first.is_ok() {
        let _ = timeout(LAST_WORDS, other).await;
    }
}

/// One direction, to its end, of which the other side hears.
async fn carry(
    from: OwnedReadHalf,
    early: Vec<u8>,
    mut to: OwnedWriteHalf,
    patience: Duration,
) -> io::Result<()> {
    write(&mut to, &early, patience).await?;
    drop(early);
    loop {
        from.readable().await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        match from.try_read_buf(&mut chunk) {
            Ok(0) => break,
            Ok(_) => write(&mut to, &chunk, patience).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    to.shutdown().await
}

async fn write(to: &mut OwnedWriteHalf, bytes: &[u8], patience: Duration) -> io::Result<()> {
    timeout(patience, to.write_all(bytes)).await?
}
