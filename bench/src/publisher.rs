//! Sends ticks at a steady rate, from a thread of its own, so that a busy reader does not slow it down unseen. Towards
//! presence it is a sibling service on NATS; towards the bare broadcaster it writes lines, towards other Socket.IO servers
//! it is a client.

use crate::{
    speaker::Speaker,
    tick::{self, Clock, Tick},
};
use anyhow::{Context, Result};
use async_nats::{HeaderMap, jetstream};
use presence_api::event::headers;
use std::{
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinSet,
};

/// A server that is asked too much holds the publisher up, but not for ever.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where ticks go.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    Nats {
        server: String,
        classroom: String,
    },
    Bare(SocketAddr),
    /// A teacher of a Socket.IO server that says what it is asked to say to a room.
    Apps {
        address: SocketAddr,
        token: Arc<str>,
        room: String,
    },
}

enum Wire {
    Nats { jetstream: Box<jetstream::Context>, subject: String },
    Bare(TcpStream),
    Apps(Box<Speaker>),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst {
    pub(crate) per_second: u32,
    pub(crate) count: u32,
}

struct Order {
    burst: Burst,
    done: oneshot::Sender<Result<usize>>,
}

/// Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Publisher {
    orders: mpsc::Sender<Order>,
}

impl Publisher {
    pub(crate) fn start(line: Line, clock: Clock) -> Result<Self> {
        // One burst at a time: whoever orders waits for its end.
        let (orders, mut inbox) = mpsc::channel::<Order>(1);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        let work = move || {
            runtime.block_on(async {
                let mut wire = Wire::connect(&line).await;
                let mut number = 0;
                while let Some(Order { burst, done }) = next(&mut inbox, &mut wire).await {
                    let sent = match &mut wire {
                        Ok(wire) => wire.burst(burst, clock, &mut number).await,
                        Err(error) => Err(anyhow::anyhow!("{error:#}")),
                    };
                    // Whoever ordered may have given up.
                    let _ = done.send(sent);
                }
            });
        };
        thread::Builder::new().name("publisher".into()).spawn(work).context("start the publisher")?;
        Ok(Self { orders })
    }

    /// Sends a burst, and returns when the last tick is out, and on NATS acknowledged. Returns how many were not
    /// acknowledged in time: they may arrive all the same.
    pub(crate) async fn send(&self, burst: Burst) -> Result<usize> {
        let (done, sent) = oneshot::channel();
        self.orders.send(Order { burst, done }).await.ok().context("the publisher has ended")?;
        let due = Duration::from_secs(u64::from(burst.count / burst.per_second.max(1)));
        let sent = tokio::time::timeout(due + PATIENCE, sent).await;
        sent.context("the publisher is stuck")?.context("the publisher has ended")?
    }
}

/// The next order. What waits for one may have to show that it is there.
async fn next(inbox: &mut mpsc::Receiver<Order>, wire: &mut Result<Wire>) -> Option<Order> {
    loop {
        let Ok(Wire::Apps(speaker)) = wire else { return inbox.recv().await };
        let listened = tokio::select! {
            order = inbox.recv() => return order,
            listened = speaker.listen() => listened,
        };
        if let Err(error) = listened {
            *wire = Err(error);
        }
    }
}

impl Wire {
    async fn connect(line: &Line) -> Result<Self> {
        match line {
            Line::Nats { server, classroom } => {
                let client = async_nats::connect(server).await.context("connect the publisher to NATS")?;
                let jetstream = Box::new(jetstream::new(client));
                Ok(Self::Nats { jetstream, subject: format!("classroom.{classroom}.{}", tick::ENTITY) })
            }
            Line::Bare(address) => {
                let tcp = TcpStream::connect(address).await.context("connect the publisher")?;
                tcp.set_nodelay(true).context("set TCP_NODELAY")?;
                Ok(Self::Bare(tcp))
            }
            Line::Apps { address, token, room } => {
                Ok(Self::Apps(Box::new(Speaker::connect(*address, token, room).await?)))
            }
        }
    }

    async fn burst(&mut self, burst: Burst, clock: Clock, number: &mut u64) -> Result<usize> {
        let started = Instant::now();
        // The client lets so many wait (5,000) and then has the publisher wait, which shows as latency.
        let mut acks = JoinSet::new();
        for index in 0..burst.count {
            let due = started + Duration::from_secs(1) * index / burst.per_second;
            tokio::time::sleep_until(due.into()).await;
            let tick = Tick { number: *number, at: clock.at(due) };
            *number += 1;
            match self {
                Self::Nats { jetstream, subject } => {
                    let publishing = jetstream.publish_with_headers(
                        subject.clone(),
                        headers_of(tick),
                        tick.payload().into(),
                    );
                    acks.spawn(publishing.await.context("publish a tick")?.into_future());
                }
                Self::Bare(tcp) => {
                    let line = format!("{}\n", tick.payload());
                    tcp.write_all(line.as_bytes()).await.context("write a tick")?;
                }
                Self::Apps(speaker) => speaker.say(tick).await?,
            }
        }
        let mut unacknowledged = 0;
        while let Some(ack) = acks.join_next().await {
            unacknowledged += usize::from(!ack.is_ok_and(|ack| ack.is_ok()));
        }
        Ok(unacknowledged)
    }
}

/// What a sibling service sends with a bare payload.
fn headers_of(tick: Tick) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert(headers::EVENT_TYPE, tick::ENTITY);
    map.insert(headers::EVENT_OPERATION, tick::OPERATION);
    map.insert(headers::EVENT_SEQUENCE_ID, tick.number.to_string());
    map.insert(headers::SENDER, "service.bench.bench.example");
    map.insert(headers::INTERNAL, "false");
    map
}
