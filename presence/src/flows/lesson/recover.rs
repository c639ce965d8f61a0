//! `recover`: a lost connection is taken up again, on any replica: the same socket in the same lesson, and exactly the
//! events that its client missed. Where that cannot be proved, the connection is a new one.
//!
//! The connection is written into the lesson state before its session is claimed: the former one is told to go by that
//! claim, and must find when it ends that its user is still there. A session that was claimed in vain waits for its agent
//! as that of a connection that broke, so that nobody is seen leaving who joins again at once.

use super::{
    client::{Client, InLesson},
    connect::closed,
    end::end,
    join::label,
    refusal::Refusal,
    who::Who,
};
use crate::{
    apps::Apps,
    conversation::Seated,
    crash,
    engine::Engine,
    event::Event,
    flows::{
        admission::{Error, authorize},
        connect::{Connected, Wish, enter},
        release::release,
    },
    hub::Mailbox,
    ledger::Line,
    ports::{
        authz::{Action, Object},
        bus::Backlog,
        lesson_state::{AppSocket, Entry, Recovery},
    },
};
use presence_api::frames::Resume;
use presence_core::ids::{AgentId, Fence, RecoveryId, SessionKey, SocketId};
use std::{sync::Arc, time::Duration};

/// Where a client left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOff {
    pub pid: RecoveryId,
    /// The position of the last event it heard; `None`: it heard none since it joined.
    pub heard: Option<u64>,
}

#[derive(Debug)]
pub struct Recovered {
    pub client: Box<Client>,
    pub seated: Seated,
    /// In order; none is left out.
    pub missed: Vec<Arc<Event>>,
}

/// `None`: it is a new connection.
#[tracing::instrument(name = "recover", skip_all)]
pub(super) async fn recover(
    engine: &Arc<Engine>,
    who: &Who,
    (left_off, own): (LeftOff, &SocketId),
    fence: Fence,
    mailbox: &Arc<Mailbox>,
) -> Result<Option<Recovered>, Refusal> {
    let apps = engine.apps.as_ref().ok_or_else(closed)?;
    let LeftOff { pid, heard } = left_off;
    let Some(recovery) = apps.state.recovery(&pid).await?.filter(|it| is_theirs(it, who)) else {
        return Ok(None);
    };
    // A client goes on naming what it heard last, be it before it joined.
    let heard = heard.unwrap_or(0).max(recovery.seq);
    if !may(engine, who, &recovery).await? || !is_within_reach(engine, &recovery, heard).await {
        return Ok(None);
    }
    let socket = AppSocket {
        sid: recovery.sid.taken_up(own),
        user_id: who.user_id.clone(),
        org_id: who.org_id.clone(),
        kind: who.kind,
        role: who.role.clone(),
    };
    let ids = (pid, who.identity.clone());
    let (client, _) = Client::enter(engine, apps, socket, ids, mailbox).await?;
    let resume = Resume { session_id: recovery.session_id, last_seq: heard };
    let wish = Wish { label: label(), classroom_id: recovery.lesson.clone(), resume: Some(resume) };
    let mut connected = match enter(engine, &who.identity, wish, fence, mailbox).await {
        Ok(connected) => connected,
        Err(refused) => {
            give_up(engine, apps, client, None);
            return Err(refused.into());
        }
    };
    let Some(missed) = connected.missed.take() else {
        give_up(engine, apps, client, Some((connected, recovery)));
        return Ok(None);
    };
    let missed: Vec<_> =
        missed.into_iter().filter(|event| event.is_for(connected.agent_id.as_str())).collect();
    Ok(Some(take_up(engine, apps, client, connected, (Recovery { seq: heard, ..recovery }, missed)).await))
}

fn is_theirs(recovery: &Recovery, who: &Who) -> bool {
    recovery.user_id == who.user_id && recovery.org_id == who.org_id && recovery.kind == who.kind.as_str()
}

async fn may(engine: &Engine, who: &Who, recovery: &Recovery) -> Result<bool, Refusal> {
    let lesson = Object::Classroom(recovery.lesson.clone());
    match authorize(&engine.deps, &who.identity, Action::Connect, &lesson).await {
        Ok(()) => Ok(true),
        Err(Error::Denied) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether what came after `heard` may still be had: asked before anything is claimed.
async fn is_within_reach(engine: &Engine, recovery: &Recovery, heard: u64) -> bool {
    matches!(engine.deps.bus.read(&recovery.lesson, heard, heard).await, Ok(Backlog::Complete(_)))
}

/// What follows once nothing is missing. The recovery is written anew: what the client has heard for certain, in the
/// session it has now. That session has been claimed: where the lesson state fails now, the client is in the lesson all the
/// same, `lifecycle/lessons` writes what is missing, and the former recovery goes on being good.
async fn take_up(
    engine: &Engine,
    apps: &Apps,
    mut client: Box<Client>,
    connected: Connected,
    (former, missed): (Recovery, Vec<Arc<Event>>),
) -> Recovered {
    let session_id = connected.line.held().session_id.0;
    crash::point("recover.entered");
    // Where nothing is to be heard, the client is up to here already.
    let seq = if missed.is_empty() { connected.snapshot.seq.max(former.seq) } else { former.seq };
    let place = former.seat.clone();
    let recovery = Recovery { session_id, seq, ..former };
    let entry = Entry {
        lesson: recovery.lesson.clone(),
        seats: engine.deps.config.socketio.seats,
        by_token: false,
        recovery: Some((client.pid.clone(), recovery)),
    };
    if let Err(fault) = apps.state.join(engine.replica_id, &client.socket, &entry).await {
        let error = &fault as &dyn std::error::Error;
        tracing::warn!(error, "left a recovery to be written into the lesson state later");
    }
    client.answered.enters(&entry.lesson);
    client.lesson = Some(InLesson { id: entry.lesson, seat: place });
    let Connected { seat, line, expires, .. } = connected;
    Recovered { client, seated: Seated { seat, line, expires }, missed }
}

/// What was entered in vain waits as what a broken connection leaves, for `session.leave_grace`: a later socket of the
/// same user may take it over. Where more sockets are answered for than may be open, it does not wait.
fn give_up(engine: &Arc<Engine>, apps: &Apps, client: Box<Client>, claimed: Option<(Connected, Recovery)>) {
    let config = &engine.deps.config;
    let crowded = apps.present.len() > config.public.max_connections as usize;
    let grace = if crowded { Duration::ZERO } else { config.session.leave_grace.0 };
    let waiting = claimed.map(|(connected, recovery)| wait_in_ledger(engine, connected, &recovery));
    let (engine, tasks) = (engine.clone(), engine.tasks.clone());
    tasks.start_to_finish(async move {
        let lost = engine.deps.clock.now();
        tokio::time::sleep(grace).await;
        if let Some(line) = waiting {
            release(&engine, line.held(), lost).await;
        }
        end(&engine, *client, false).await;
    });
}

/// Leaves the seat, and answers for the session without a socket: a later claim of this very client must not tell it
/// that it was replaced.
fn wait_in_ledger(engine: &Engine, connected: Connected, recovery: &Recovery) -> Line {
    let Connected { agent_id, line, seat, .. } = connected;
    let held = line.held();
    drop((seat, line));
    let key = key(agent_id, recovery);
    engine.ledger.enter(held, &key, engine.deps.clock.now(), &Arc::new(Mailbox::new(0)))
}

fn key(agent_id: AgentId, recovery: &Recovery) -> SessionKey {
    SessionKey { agent_id, classroom_id: recovery.lesson.clone() }
}
