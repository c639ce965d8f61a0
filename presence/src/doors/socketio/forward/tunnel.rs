//! A WebSocket whose connection another replica holds: two TCP connections, copied into each other.
//!
//! A tunnel at rest has no buffer; one that carries something has one a side, and reads on once that is written. It
//! ends with either of its ends, and while this replica lets go.

use super::link::{Connection, through};
use crate::{engine::Engine, lifecycle::serve::Peer};
use futures_util::future::{Either, select};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use presence_core::{
    drain::{WAVE, window},
    time::Time,
};
use prometheus_client::metrics::gauge::Gauge;
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{sleep, timeout},
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
    let _open = Open::count(&engine.deps.metrics.tunnels);
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

/// Returns when this replica lets go and it is this tunnel's turn. Its client connects elsewhere, and the owner waits
/// for it as for any that was cut off.
async fn told_to_go(engine: &Engine) {
    let clock = &engine.deps.clock;
    let mut until = None;
    loop {
        let turn = until.map(|until| clock.chance() % spread(engine, until));
        let waiting = async {
            match turn {
                Some(turn) => sleep(Duration::from_millis(turn)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Called off, it may be, or begun anew.
            changed = engine.draining.until_changes(until) => until = changed,
            () = waiting => return,
        }
    }
}

/// Over how many milliseconds the tunnels close: at the rate of a drain, and within its window.
fn spread(engine: &Engine, until: Time) -> u64 {
    let tunnels = u64::try_from(engine.deps.metrics.tunnels.get()).unwrap_or(0);
    let at_the_rate = tunnels * 1_000 / u64::from(engine.deps.config.session.drain_rate.max(1));
    let most = window(until.since(engine.deps.clock.now()));
    at_the_rate.max(WAVE).min(most).max(1)
}

/// A tunnel that is open, in the gauge.
struct Open(Gauge);

impl Open {
    fn count(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
