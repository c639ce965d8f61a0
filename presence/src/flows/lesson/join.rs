//! `join_lesson`: a client that is in enters a lesson: a session in the classroom of that id, and its keys in the lesson
//! state. Whoever is refused has changed nothing.

use super::{
    client::{Client, InLesson},
    connect::closed,
    refusal::Refusal,
    report::report,
    who::confirms,
};
use crate::{
    apps::Apps,
    conversation::Seated,
    crash,
    engine::Engine,
    flows::{
        admission::{authenticate, authorize},
        connect::{self, Connected, Token, enter},
    },
    hub::Mailbox,
    ports::{
        analytics::What,
        authn::Identity,
        authz::{Action, Object},
        lesson_state::{Entry, Known, Recovery},
        lessons::Lesson,
    },
};
use presence_api::lesson::{Code, Joined};
use presence_core::{
    app::Kind,
    ids::{AgentLabel, ClassroomId, Fence},
};
use std::sync::Arc;

/// What a client asks for, well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub user_id: String,
    pub role: String,
    pub lesson: ClassroomId,
    pub token: Option<Token>,
}

/// `fence` is this replica's when it heard the request.
#[tracing::instrument(skip_all, fields(classroom.id = %wish.lesson))]
pub async fn join(
    engine: &Engine,
    client: &mut Client,
    wish: Wish,
    fence: Fence,
    mailbox: &Arc<Mailbox>,
) -> Result<(Seated, Joined), Refusal> {
    let apps = engine.apps.as_ref().ok_or_else(closed)?;
    acts_for_itself(client, &wish)?;
    let by_token = wish.token.is_some() && client.socket.kind == Kind::Student;
    let identity = match &wish.token {
        Some(token) => Some(confirmed(engine, client, token).await?),
        None => None,
    };
    if client.lesson.is_some() {
        return Err(Refusal::new(Code::AlreadyJoined, "this socket is in a lesson"));
    }
    let identity = identity.as_ref().unwrap_or(&client.identity);
    authorize(&engine.deps, identity, Action::Connect, &Object::Classroom(wish.lesson.clone())).await?;
    let lesson = lesson(apps, client, &wish.lesson).await?;
    if engine.draining.is_on() {
        // It would be told to go at once; and where it comes back to, it joins.
        return Err(Refusal::unavailable());
    }
    let place = connect::Wish { label: label(), classroom_id: wish.lesson, resume: None };
    let classroom = place.classroom_id.clone();
    let connected = enter(engine, identity, place, fence, mailbox).await?;
    crash::point("join.entered");
    let entry = entry(engine, client, &connected, &lesson, (classroom, by_token));
    Ok(write(engine, apps, client, connected, (entry, lesson)).await)
}

/// The label that tells this door's agents from others.
pub(super) fn label() -> AgentLabel {
    "app".parse().expect("three letters are a word")
}

fn acts_for_itself(client: &Client, wish: &Wish) -> Result<(), Refusal> {
    let forbidden = |why: &'static str| Err(Refusal::new(Code::Forbidden, why));
    if !client.socket.kind.joins_lessons() {
        return forbidden("managers and hubs take part in no lesson");
    }
    if wish.user_id != client.socket.user_id.as_str() {
        return forbidden("user_id is not the token's");
    }
    if wish.role != client.socket.kind.as_str() {
        return forbidden("role is not this client's");
    }
    Ok(())
}

/// Another token of the same user: it may admit to other lessons, and last longer.
async fn confirmed(engine: &Engine, client: &Client, token: &Token) -> Result<Identity, Refusal> {
    let identity = authenticate(&engine.deps, token.expose()).await?;
    let (own, socket) = (&client.identity, &client.socket);
    let same = identity.account == own.account
        && identity.audience == own.audience
        && confirms(engine.deps.config.socketio.identity, &identity, &socket.org_id, socket.kind);
    if same {
        Ok(identity)
    } else {
        Err(Refusal::new(Code::Forbidden, "access_token is another user's, or of another org or role"))
    }
}

/// The lesson, if it is one of the client's org. The lesson state is asked something, too: where it is away, nobody is to
/// be seen entering and leaving again.
async fn lesson(apps: &Apps, client: &Client, id: &ClassroomId) -> Result<Lesson, Refusal> {
    let (lesson, room) = tokio::join!(apps.lessons.lesson(id, &client.socket.user_id), apps.state.room(id));
    let lesson = lesson?.ok_or_else(|| Refusal::new(Code::LessonNotFound, "there is no such lesson"))?;
    if lesson.org_id != client.socket.org_id.as_str() {
        return Err(Refusal::new(Code::Forbidden, "the lesson is another org's"));
    }
    room?;
    Ok(lesson)
}

fn entry(
    engine: &Engine,
    client: &Client,
    connected: &Connected,
    lesson: &Lesson,
    (id, by_token): (ClassroomId, bool),
) -> Entry {
    let socket = &client.socket;
    let recovery = Recovery {
        sid: socket.sid.shown(),
        user_id: socket.user_id.clone(),
        org_id: socket.org_id.clone(),
        kind: socket.kind.as_str().to_owned(),
        lesson: id.clone(),
        seat: lesson.seat.clone(),
        session_id: connected.line.held().session_id.0,
        seq: connected.snapshot.seq,
    };
    let seats = engine.deps.config.socketio.seats;
    Entry { lesson: id, seats, by_token, recovery: Some((client.pid.clone(), recovery)) }
}

/// What the apps' backends read. The session has been claimed, and may have replaced another: where the lesson state fails
/// now, the client is in the lesson all the same, and `lifecycle/lessons` writes what is missing.
async fn write(
    engine: &Engine,
    apps: &Apps,
    client: &mut Client,
    connected: Connected,
    (entry, lesson): (Entry, Lesson),
) -> (Seated, Joined) {
    let joining = apps.state.join(engine.replica_id, &client.socket, &entry).await;
    let known = joining.unwrap_or_else(|fault| {
        let error = &fault as &dyn std::error::Error;
        tracing::warn!(error, "left a join to be written into the lesson state later");
        Known::default()
    });
    let Lesson { room_id, seat: place, .. } = lesson;
    if entry.by_token && known.before {
        report(engine, apps, &client.socket, What::Reconnect, (Some(entry.lesson.clone()), room_id.clone()));
    }
    client.answered.enters(&entry.lesson);
    client.lesson = Some(InLesson { id: entry.lesson.clone(), seat: place.clone() });
    let Connected { seat, line, expires, snapshot, .. } = connected;
    let joined = Joined {
        lesson_id: entry.lesson,
        room_id,
        seat: place,
        session_id: line.held().session_id.0,
        seq: snapshot.seq,
        agents: snapshot.agents,
        agents_total: snapshot.agents_total,
    };
    // The socket lives as long as the better of its tokens.
    let expires = expires.max(engine.moment(client.identity.expires));
    (Seated { seat, line, expires }, joined)
}
