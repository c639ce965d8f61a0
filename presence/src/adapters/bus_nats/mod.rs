//! The bus on NATS JetStream: one stream, no consumer. The port's contract is in `ports::bus`.
//!
//! `connect` keeps the connection, `link` the stream, `publish` sends, `subscription` hears and repairs, `read` reads
//! by position, `backlog` once for all who ask together; `tracker` and `stream` decide, without doing anything. `peers`
//! asks other replicas over the same connection, and `notices` tells them.

mod backlog;
mod connect;
mod error;
mod link;
mod message;
mod notices;
mod options;
mod peers;
mod publish;
mod read;
mod stream;
mod subscription;
mod tracker;

pub use error::Error;
pub use notices::NatsNotices;
pub use options::{Auth, Options, Servers, Storage, StreamOptions, Tls};
pub use peers::NatsPeers;

use crate::{
    event::Poison,
    ports::{
        Fault,
        bus::{Backlog, Bus, Outgoing, Subscription},
        clock::Clock,
    },
};
use async_trait::async_trait;
use link::Link;
use presence_core::ids::ClassroomId;
use prometheus_client::metrics::counter::Counter;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

#[derive(Debug, Clone)]
pub struct NatsBus {
    link: Arc<Link>,
}

impl NatsBus {
    /// Returns at once, whether NATS is there or not; only options that can never work are an error.
    pub async fn connect(options: Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let signals = Arc::new(connect::Signals::new());
        let client = connect::connect(&options, clock.clone(), signals.clone()).await?;
        let link = Arc::new(Link::new(client, signals, options, clock));
        Ok(Self { link })
    }

    /// Prepares the stream on each new connection, and says what stands in the way. It never ends; whoever starts it
    /// drops it. Without it the first use does the same, and says nothing.
    pub async fn run(&self) {
        let mut news = self.link.news();
        let mut said = None;
        loop {
            match self.link.ready().await {
                Ok(()) => said = None,
                Err(Error::NotConnected { .. }) => {}
                Err(error) => {
                    let error = error.to_string();
                    if said.as_ref() != Some(&error) {
                        tracing::error!(error, "the event bus cannot be used yet; trying for ever");
                    }
                    said = Some(error);
                }
            }
            // A stream that is not ready is asked for again, with or without news.
            let again = sleep(Duration::from_secs(10));
            tokio::select! {
                biased;
                changed = news.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }

    /// The other replicas on this NATS; `garbage` counts what comes from there and is no ask.
    pub fn peers(&self, garbage: Counter) -> NatsPeers {
        NatsPeers::new(self.link.clone(), garbage)
    }

    /// The same replicas, to be told something; `garbage` counts what comes from there and is no notice.
    pub fn notices(&self, garbage: Counter) -> NatsNotices {
        NatsNotices::new(self.link.clone(), garbage)
    }

    /// How many messages were no events, for metrics.
    pub fn poison_counts(&self) -> impl Iterator<Item = (Poison, u64)> + '_ {
        Poison::ALL.into_iter().map(|poison| (poison, self.link.poison.get(poison)))
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, event: &Outgoing) -> Result<u64, Fault> {
        Ok(publish::publish(&self.link, event).await?)
    }

    async fn subscribe(&self, classroom: &ClassroomId) -> Result<Subscription, Fault> {
        Ok(subscription::subscribe(self.link.clone(), classroom.clone()).await)
    }

    async fn read(&self, classroom: &ClassroomId, after: u64, up_to: u64) -> Result<Backlog, Fault> {
        let reading = backlog::read(&self.link, classroom, (after, up_to));
        Ok(timeout(link::WITHIN, reading).await.map_err(|_| Error::TimedOut)??)
    }

    fn is_up(&self) -> bool {
        self.link.is_up()
    }
}
