//! A TCP link that can be cut and healed: what is behind it is away while it is cut.

use anyhow::{Context, Result};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// A handle of a link, which lives as long as any of its handles.
#[derive(Debug, Clone)]
pub struct Link {
    /// Where to connect to instead.
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
    /// Ends with the last handle.
    _forwarding: Arc<JoinSet<()>>,
}

impl Link {
    pub async fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a link")?;
        let address = listener.local_addr().context("find a link's address")?;
        let (whole, state) = watch::channel(true);
        let mut forwarding = JoinSet::new();
        forwarding.spawn(forward(listener, target, state));
        Ok(Self { address, whole, _forwarding: Arc::new(forwarding) })
    }

    /// Breaks every connection, and each new one at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn heal(&self) {
        self.whole.send_replace(true);
    }
}

async fn forward(listener: TcpListener, target: SocketAddr, state: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        // The port stays ours while the link is cut, so a connection is accepted and closed.
        if *state.borrow() {
            connections.spawn(connection(near, target, state.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut near: TcpStream, target: SocketAddr, mut state: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = state.wait_for(|whole| !whole) => {}
    }
}
