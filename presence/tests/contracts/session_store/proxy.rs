//! A network between the store and its server that a test can break.

use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Up,
    /// Connections are closed, and new ones too.
    Cut,
    /// What the server answers gets lost; nobody is told.
    Mute,
}

pub(crate) struct Proxy {
    /// The server's URL, through this network.
    pub(crate) url: String,
    network: watch::Sender<Network>,
    _relaying: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn to(url: &str) -> Self {
        let mut url = url::Url::parse(url).unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            panic!("bound to an IPv4 address")
        };
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(address.port())).unwrap();
        let (network, _) = watch::channel(Network::Up);
        let mut relaying = JoinSet::new();
        relaying.spawn(accept(listener, Arc::new(server), network.clone()));
        Self { url: url.into(), network, _relaying: relaying }
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn accept(listener: TcpListener, server: Arc<(String, u16)>, network: watch::Sender<Network>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (server, network) = (Arc::clone(&server), network.subscribe());
        connections.spawn(async move {
            if *network.borrow() != Network::Cut
                && let Ok(server) = TcpStream::connect(&*server).await
            {
                relay(client, server, network).await;
            }
        });
    }
}

async fn relay(client: TcpStream, server: TcpStream, mut network: watch::Receiver<Network>) {
    let now = network.clone();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => match read {
                Ok(count) if count > 0 && to_server.write_all(&asked[..count]).await.is_ok() => {}
                _ => return,
            },
            read = from_server.read(&mut answered) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) if *now.borrow() == Network::Mute => {}
                Ok(count) => if to_client.write_all(&answered[..count]).await.is_err() { return },
            },
            () = is_cut(&mut network) => return,
        }
    }
}

async fn is_cut(network: &mut watch::Receiver<Network>) {
    // An error says that the test is over, which is as good.
    drop(network.wait_for(|network| *network == Network::Cut).await);
}
