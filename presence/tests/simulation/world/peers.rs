//! Replicas asking each other: over the bus's own network, so who is cut off from that neither asks nor is asked.

use super::{
    World, lock,
    process::{Process, Side, gone},
};
use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use presence::ports::{
    Fault,
    peers::{Answer, Ask, Asked, Peers},
};
use presence_core::ids::ReplicaId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(300);
/// Asks that wait for one replica; the next one finds nobody there.
const INBOX: usize = 64;

/// Who listens.
pub(crate) type Inboxes = BTreeMap<ReplicaId, mpsc::Sender<Asked>>;

#[derive(Debug)]
pub(crate) struct SharedPeers {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
}

#[async_trait]
impl Peers for SharedPeers {
    async fn ask(&self, replica: ReplicaId, ask: &Ask) -> Result<Answer, Fault> {
        let (tell, told) = oneshot::channel();
        let answer = Box::new(move |answer| {
            // Whoever asked may have stopped waiting.
            let _ = tell.send(answer);
        });
        let asked = Asked { ask: ask.clone(), answer };
        let asking = async {
            self.process.call(Side::Bus, "ask", |world| world.hand_over(replica, asked)).await?;
            told.await.map_err(|_| gone("ask", "nobody answered"))
        };
        let answer =
            timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(gone("ask", "no answer in time")));
        self.world.trace(|| format!("{} asks {replica} {ask:?}: {answer:?}", self.process.label));
        answer
    }

    async fn asked(&self, me: ReplicaId) -> Result<BoxStream<'static, Asked>, Fault> {
        let (send, receive) = mpsc::channel(INBOX);
        lock(&self.world.inboxes).insert(me, send);
        let asked = stream::unfold(receive, |mut receive| async move {
            let asked = receive.recv().await?;
            Some((asked, receive))
        });
        Ok(asked.boxed())
    }
}

impl World {
    fn hand_over(&self, replica: ReplicaId, asked: Asked) -> Result<(), Fault> {
        let is_there = |process: &&Arc<Process>| process.id == replica && process.lives();
        let there = self.processes().iter().find(is_there).is_some_and(|process| process.reaches(Side::Bus));
        let inbox = lock(&self.inboxes).get(&replica).cloned().filter(|_| there);
        let inbox = inbox.ok_or_else(|| gone("ask", "no responders"))?;
        inbox.try_send(asked).map_err(|_| gone("ask", "no responders"))
    }
}
