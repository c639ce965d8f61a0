//! `let_go`: a session has moved on, or was ended: the socket that still holds it is to go, here or on another replica.
//!
//! Neither side waits for the store: the claim's generation has already made whatever the old socket may still do
//! harmless. What is left is that its client stops hearing, and knows why.

use crate::{
    crash,
    engine::Engine,
    hub::{Command, Parting},
    ports::peers::{Answer, Ask, Asked, Why},
};
use futures_util::StreamExt;
use presence_core::ids::ReplicaId;
use std::{sync::Arc, time::Duration};

/// Before asks are listened for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Here: whoever holds exactly this claim, or one that came before it, goes. It may sit in its room, be on the way
/// there, or only wait for its agent to come back.
pub fn let_go(engine: &Engine, ask: &Ask) -> Answer {
    let parting = engine.hub.let_go(&ask.key, ask.held);
    let mailbox = match &parting {
        Parting::Seated(mailbox) => Some(mailbox.clone()),
        Parting::Expected | Parting::Nobody => engine.ledger.mailbox(ask.held),
    };
    if let Some(mailbox) = mailbox {
        crash::point("replace.let_go");
        mailbox.command(match ask.why {
            Why::Replaced => Command::Replaced,
            Why::Evicted => Command::Evicted,
        });
        return Answer::LetGo;
    }
    match parting {
        Parting::Seated(_) | Parting::Expected => Answer::LetGo,
        Parting::Nobody => Answer::NotHere,
    }
}

/// There: bounded by the port, and no answer changes nothing that must hold. `None`: none came.
#[tracing::instrument(name = "ask_peer", skip_all, fields(replica.id = %replica))]
pub async fn ask(engine: &Engine, replica: ReplicaId, ask: &Ask) -> Option<Answer> {
    let answer = match engine.deps.peers.ask(replica, ask).await {
        Ok(answer) => Some(answer),
        Err(fault) => {
            let why = std::error::Error::source(&fault);
            tracing::debug!(error = &fault as &dyn std::error::Error, why, "a replica did not answer");
            None
        }
    };
    engine.deps.metrics.peer_ask(answer);
    answer
}

/// Does what other replicas ask, one ask after the other: none of them takes longer than a few locks. Never ends.
pub async fn answer_peers(engine: Arc<Engine>) {
    loop {
        match engine.deps.peers.asked(engine.replica_id).await {
            Ok(mut asks) => {
                while let Some(Asked { ask, answer }) = asks.next().await {
                    let answered = let_go(&engine, &ask);
                    tracing::debug!(why = ?ask.why, answer = answered.as_str(), "another replica asked");
                    answer(answered);
                }
            }
            Err(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "listen to other replicas");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
