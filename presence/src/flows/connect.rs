//! `connect`: from a token and a classroom to a seat in the room, in the order that the protocol draws.
//!
//! authenticate → authorise → claim → tell the former holder → `entered` is out → hear the classroom → snapshot.
//! A former holder elsewhere is asked while the rest goes on. Whatever fails after the claim gives the session up again.

use crate::{
    crash,
    engine::Engine,
    event::Event,
    flows::{
        admission::{Error, admit},
        let_go::{ask, let_go},
        release::release_at_once,
    },
    hub::{Expected, Mailbox, Room, Seat, Sitter, Stale},
    ledger::Line,
    ports::{
        Fault,
        authn::Identity,
        authz::{Action, Object},
        bus::Backlog,
        peers::{Ask, Why},
        session_store::{Claim, Claimed, Roster},
    },
    telemetry::metrics::Resumed,
};
use presence_api::{
    event::Operation,
    frames::{Agent, Resume, Snapshot},
};
use presence_core::{
    close::Reason,
    ids::{AgentId, AgentLabel, ClassroomId, Fence, SessionId, SessionKey},
    replace::{Holder, Verdict, verdict},
    session::Held,
    time::Time,
};
use std::{fmt, sync::Arc};

/// A token on its way to be verified; it prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A parsed connect request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub token: Token,
    pub wish: Wish,
}

/// Where a client wants to be, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub label: AgentLabel,
    pub classroom_id: ClassroomId,
    pub resume: Option<Resume>,
}

/// A seated session. From `snapshot.seq` on, every event comes through the mailbox.
#[derive(Debug)]
pub struct Connected {
    pub agent_id: AgentId,
    /// That this process answers for it.
    pub line: Line,
    pub replica: String,
    /// When the token ends.
    pub expires: Time,
    pub seat: Seat,
    pub snapshot: Snapshot,
    pub asked_to_resume: bool,
    /// Every event since the client's `last_seq`, where that can be proved.
    pub missed: Option<Vec<Arc<Event>>>,
}

/// Why there is no session. The log has more; the client gets this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub Reason);

/// `fence` is this replica's when it heard the request.
#[tracing::instrument(skip_all, fields(classroom.id = %request.wish.classroom_id))]
pub async fn connect(
    engine: &Engine,
    request: Request,
    fence: Fence,
    mailbox: &Arc<Mailbox>,
) -> Result<Connected, Refused> {
    let classroom = Object::Classroom(request.wish.classroom_id.clone());
    let admitted = admit(&engine.deps, request.token.expose(), Action::Connect, &classroom).await;
    let identity = admitted.map_err(refused)?;
    enter(engine, &identity, request.wish, fence, mailbox).await
}

/// All that follows once it is known who wants to be where, and that they may.
pub async fn enter(
    engine: &Engine,
    identity: &Identity,
    wish: Wish,
    fence: Fence,
    mailbox: &Arc<Mailbox>,
) -> Result<Connected, Refused> {
    crash::point("connect.admitted");
    let agent_id = AgentId::new(&wish.label, &identity.account, &identity.audience);
    let key = SessionKey { agent_id, classroom_id: wish.classroom_id };
    let resume = wish.resume.map(|resume| SessionId(resume.session_id));
    let claim = Claim { key: key.clone(), replica_id: engine.replica_id, fence, resume };
    // Whoever claims after us may ask for our seat before we have it.
    let expected = engine.hub.expect(&key);
    let claimed = take(engine, claim).await?;
    crash::point("connect.claimed");
    let verdict = verdict(claimed.held.session_id, engine.replica_id, claimed.previous);
    if let Verdict::ReplaceHere(former) = verdict {
        let_go(engine, &replaced(&key, former));
    }
    engine.deps.metrics.handovers.inc_by(u64::from(matches!(verdict, Verdict::Handover(_))));
    let line = engine.ledger.enter(claimed.held, &key, engine.deps.clock.now(), mailbox);
    let newcomer = Newcomer { key: &key, held: claimed.held, expected: &expected, mailbox };
    let sitting = sit_down(engine, newcomer, verdict, wish.resume);
    let (seated, ()) = tokio::join!(sitting, tell_former_holder(engine, &key, verdict));
    drop(expected);
    let (seat, snapshot, missed) = match seated {
        Ok(seated) => seated,
        Err(refused) => {
            release_at_once(engine, claimed.held).await;
            return Err(refused);
        }
    };
    crash::point("connect.seated");
    Ok(Connected {
        agent_id: key.agent_id,
        line,
        replica: engine.deps.config.replica.label.clone(),
        expires: engine.moment(identity.expires),
        seat,
        snapshot,
        asked_to_resume: wish.resume.is_some(),
        missed,
    })
}

#[tracing::instrument(name = "claim", skip_all)]
async fn take(engine: &Engine, claim: Claim) -> Result<Claimed, Refused> {
    engine.deps.store.claim(claim).await.map_err(|fault| refused(Error::Store(fault)))
}

/// What the client is told of an error; the log is told the rest.
fn refused(error: Error) -> Refused {
    Refused(match error {
        Error::Unauthenticated(why) => {
            tracing::info!(why, "refused a token");
            Reason::Unauthenticated
        }
        Error::Denied => Reason::AccessDenied,
        Error::Unavailable(why) => {
            tracing::warn!("{why}");
            Reason::Overloaded
        }
        Error::Store(fault) => {
            tracing::error!(error = &fault as &dyn std::error::Error, "claim session");
            match fault {
                Fault::Unavailable { .. } => Reason::Overloaded,
                Fault::Failed { .. } => Reason::InternalServerError,
            }
        }
    })
}

fn replaced(key: &SessionKey, former: Holder) -> Ask {
    Ask { key: key.clone(), held: former.held(), why: Why::Replaced }
}

/// Elsewhere: its replica is asked once, and not waited for long. If it cannot be reached, it finds out by itself that
/// the session is not its own any more.
async fn tell_former_holder(engine: &Engine, key: &SessionKey, verdict: Verdict) {
    let Some(former) = verdict.asks() else { return };
    crash::point("replace.claimed");
    ask(engine, former.replica_id, &replaced(key, former)).await;
    crash::point("replace.asked");
}

/// A claim on its way to a seat.
#[derive(Clone, Copy)]
struct Newcomer<'a> {
    key: &'a SessionKey,
    held: Held,
    expected: &'a Expected,
    mailbox: &'a Arc<Mailbox>,
}

type Seated = (Seat, Snapshot, Option<Vec<Arc<Event>>>);

async fn sit_down(
    engine: &Engine,
    newcomer: Newcomer<'_>,
    verdict: Verdict,
    resume: Option<Resume>,
) -> Result<Seated, Refused> {
    if verdict.announces() {
        announce(engine, newcomer.held.session_id).await;
        crash::point("connect.announced");
    }
    let heard = resume.map_or(0, |resume| resume.last_seq);
    let (seat, mut position) = seat(engine, newcomer, heard).await?;
    let key = newcomer.key;
    let missed = match resume {
        Some(resume) => missed(engine, &key.classroom_id, resume.last_seq, position).await,
        None => None,
    };
    // What came since the seat was taken waits in the mailbox already, but for what the client said it had heard.
    let known = if missed.is_some() { heard } else { heard.min(seat.forget_heard()) };
    position = position.max(known);
    // After the position is known, so that the roster holds whatever happened up to it.
    let roster = roster(engine, &key.classroom_id).await?;
    Ok((seat, snapshot(position, roster), missed))
}

/// Waits for `entered` to be published, but not for long: it will be, sooner or later.
#[tracing::instrument(skip_all)]
async fn announce(engine: &Engine, session_id: SessionId) {
    let entered = engine.relay.sent(session_id, Operation::Entered);
    entered.within(engine.deps.config.session.publish_wait.0).await;
}

#[tracing::instrument(skip_all)]
async fn roster(engine: &Engine, classroom: &ClassroomId) -> Result<Roster, Refused> {
    engine.deps.store.roster(classroom).await.map_err(|fault| overloaded(&fault))
}

fn overloaded(fault: &Fault) -> Refused {
    tracing::warn!(error = fault as &dyn std::error::Error, "seat a session");
    Refused(Reason::Overloaded)
}

#[tracing::instrument(skip_all)]
async fn seat(engine: &Engine, newcomer: Newcomer<'_>, heard: u64) -> Result<(Seat, u64), Refused> {
    let Newcomer { key, held, expected, mailbox } = newcomer;
    let sitter = Sitter { agent: &key.agent_id, held, mailbox, heard };
    loop {
        let room: Arc<Room> =
            engine.feeds.room(&key.classroom_id).await.map_err(|fault| overloaded(&fault))?;
        match room.seat(sitter) {
            // The next claim was faster than this one's seat, and it was asked for here.
            Ok(_) if expected.is_let_go(held) => return Err(Refused(Reason::Replaced)),
            Ok(seated) => return Ok(seated),
            // It was retired between the two lines above; the next one is new.
            Err(Stale::Room) => {}
            Err(Stale::Claim) => return Err(Refused(Reason::Replaced)),
        }
    }
}

/// What the client did not hear between its last event and its seat; `None` where that cannot be proved.
#[tracing::instrument(skip_all)]
async fn missed(engine: &Engine, classroom: &ClassroomId, after: u64, seat: u64) -> Option<Vec<Arc<Event>>> {
    // A client may be ahead of this replica; then only that its position is one of this stream is to be proved.
    let missed = match engine.deps.bus.read(classroom, after, seat.max(after)).await {
        Ok(Backlog::Complete(events)) => Some(events),
        Ok(Backlog::Unprovable) => None,
        Err(fault) => {
            tracing::warn!(error = &fault as &dyn std::error::Error, "read missed events");
            None
        }
    };
    engine.deps.metrics.resume(if missed.is_some() { Resumed::Complete } else { Resumed::Resync });
    missed
}

pub fn snapshot(seq: u64, roster: Roster) -> Snapshot {
    let agent = |present: crate::ports::session_store::Present| Agent {
        id: present.session_id.0,
        agent_id: present.agent_id.to_string(),
    };
    Snapshot { seq, agents: roster.first.into_iter().map(agent).collect(), agents_total: roster.total }
}
