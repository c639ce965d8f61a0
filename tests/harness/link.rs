//! A TCP link between a server and what it depends on, which can be cut, silenced, slowed and led elsewhere.
//!
//! What TCP promises still holds behind it: bytes that a silence holds up arrive once it is over, in order, if both
//! ends still want them then. Only a cut ends connections.

use anyhow::{Context, Result};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// What the link does to bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Connections are closed, and each new one at once: nothing listens there.
    Cut,
    /// A partition: connections stay and new ones are taken, but no byte gets through, and no end of a connection.
    Silent,
    /// Each chunk takes this long, both ways.
    Slow(Duration),
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    target: SocketAddr,
}

/// A handle of a link, which lives as long as any of its handles.
#[derive(Debug, Clone)]
pub struct Link {
    /// Where to connect to instead.
    pub address: SocketAddr,
    state: watch::Sender<State>,
    /// Ends with the last handle.
    _forwarding: Arc<JoinSet<()>>,
}

impl Link {
    pub async fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a link")?;
        let address = listener.local_addr().context("find a link's address")?;
        let (state, watched) = watch::channel(State { mode: Mode::Pass, target });
        let mut forwarding = JoinSet::new();
        forwarding.spawn(forward(listener, watched));
        Ok(Self { address, state, _forwarding: Arc::new(forwarding) })
    }

    pub fn mode(&self) -> Mode {
        self.state.borrow().mode
    }

    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Breaks every connection, and each new one at once.
    pub fn cut(&self) {
        self.set(Mode::Cut);
    }

    pub fn heal(&self) {
        self.set(Mode::Pass);
    }

    /// Leads to another server from here on; connections to the former one are closed.
    pub fn retarget(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }
}

async fn forward(listener: TcpListener, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        // The port stays ours while the link is cut, so a connection is accepted and closed.
        if state.borrow().mode != Mode::Cut {
            connections.spawn(connection(near, state.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(near: TcpStream, mut state: watch::Receiver<State>) {
    let mut ends = state.clone();
    tokio::select! {
        () = until_cut(&mut ends) => return,
        () = until_heard(&mut state) => {}
    }
    let target = state.borrow().target;
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let both = async {
        // A half that fails ends the other; one that ends in order does not.
        let _ =
            tokio::try_join!(carry(near_in, far_out, state.clone()), carry(far_in, near_out, state.clone()));
    };
    let over = ends.wait_for(|state| state.mode == Mode::Cut || state.target != target);
    tokio::select! {
        () = both => {}
        _ = over => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        until_heard(&mut state).await;
        let read = tokio::select! {
            biased;
            () = until_silent(&mut state) => continue,
            read = from.read(&mut chunk) => read?,
        };
        let mode = state.borrow().mode;
        if let Mode::Slow(latency) = mode {
            tokio::time::sleep(latency).await;
        }
        until_heard(&mut state).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..read]).await?;
    }
}

// A link that nobody holds any more changes nothing: whoever waits for it is dropped with its task.

async fn until_cut(state: &mut watch::Receiver<State>) {
    let _ = state.wait_for(|state| state.mode == Mode::Cut).await;
}

async fn until_silent(state: &mut watch::Receiver<State>) {
    if state.wait_for(|state| state.mode == Mode::Silent).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn until_heard(state: &mut watch::Receiver<State>) {
    let _ = state.wait_for(|state| state.mode != Mode::Silent).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{eventually, within};

    /// A server that sends back what it hears.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut from, mut to) = tcp.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        (address, tasks)
    }

    async fn say(tcp: &mut TcpStream, text: &[u8]) -> bool {
        let mut back = vec![0; text.len()];
        let talk = async {
            tcp.write_all(text).await?;
            tcp.read_exact(&mut back).await.map(drop)
        };
        matches!(within("an echo", talk).await, Ok(Ok(()))) && back == text
    }

    #[tokio::test]
    async fn a_silence_holds_bytes_up_and_loses_none() {
        let (target, _server) = echo().await;
        let link = Link::to(target).await.unwrap();
        let mut old = TcpStream::connect(link.address).await.unwrap();
        assert!(say(&mut old, b"one").await);
        link.set(Mode::Silent);
        let mut new = TcpStream::connect(link.address).await.unwrap();
        for tcp in [&mut old, &mut new] {
            tcp.write_all(b"two").await.unwrap();
        }
        let mut back = [0; 3];
        // What is said after the silence comes behind what was said in it, so nothing came in between.
        assert!(old.try_read(&mut back).is_err());
        link.heal();
        for tcp in [&mut old, &mut new] {
            within("what was held up", tcp.read_exact(&mut back)).await.unwrap().unwrap();
            assert_eq!(&back, b"two");
        }
    }

    #[tokio::test]
    async fn a_cut_and_a_new_target_end_connections() {
        let ((first, _a), (second, _b)) = (echo().await, echo().await);
        let link = Link::to(first).await.unwrap();
        for change in [|link: &Link, _| link.cut(), |link: &Link, to| link.retarget(to)] {
            let mut tcp = TcpStream::connect(link.address).await.unwrap();
            assert!(say(&mut tcp, b"one").await);
            change(&link, second);
            let ended = within("the end", tcp.read(&mut [0; 1])).await.unwrap();
            assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
            link.heal();
            let works = async || {
                let mut tcp = TcpStream::connect(link.address).await?;
                anyhow::ensure!(say(&mut tcp, b"two").await);
                Ok(())
            };
            eventually("the link to work again", works).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_slow_link_still_carries_everything() {
        let (target, _server) = echo().await;
        let link = Link::to(target).await.unwrap();
        link.set(Mode::Slow(Duration::from_millis(30)));
        let mut tcp = TcpStream::connect(link.address).await.unwrap();
        assert!(say(&mut tcp, &vec![7; 40_000]).await);
    }
}
