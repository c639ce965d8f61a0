//! `connect`: from a query and a token to a client that is in, as what its org and role say.

use super::{
    client::Client,
    recover::{LeftOff, Recovered, recover},
    refusal::Refusal,
    report::report,
    who::{Claims, Who, identify},
};
use crate::{
    apps::Apps,
    engine::Engine,
    hub::Mailbox,
    ports::{analytics::What, lesson_state::AppSocket},
};
use presence_api::lesson::Code;
use presence_core::{
    app::Kind,
    ids::{ClassroomId, Fence, RecoveryId, SocketId},
};
use std::sync::Arc;

/// What a client asks for with its connect packet.
#[derive(Debug)]
pub struct Hello {
    pub claims: Claims,
    /// Where it left off, if it was here before.
    pub left_off: Option<LeftOff>,
    /// Of a connection that is new.
    pub ids: Ids,
}

#[derive(Debug)]
pub struct Ids {
    pub sid: SocketId,
    pub pid: RecoveryId,
}

#[derive(Debug)]
pub enum Entrance {
    New(Box<Client>),
    Recovered(Box<Recovered>),
}

/// `fence` is this replica's when it heard the request.
#[tracing::instrument(name = "connect_app", skip_all)]
pub async fn connect(
    engine: &Arc<Engine>,
    hello: Hello,
    fence: Fence,
    mailbox: &Arc<Mailbox>,
) -> Result<Entrance, Refusal> {
    let apps = engine.apps.as_ref().ok_or_else(closed)?;
    let who = identify(engine, hello.claims).await?;
    if let Some(left_off) = hello.left_off
        && who.kind.joins_lessons()
        && let Some(recovered) = recover(engine, &who, (left_off, &hello.ids.sid), fence, mailbox).await?
    {
        let Client { socket, lesson, .. } = &*recovered.client;
        welcome_back(engine, apps, socket, lesson.as_ref().map(|lesson| &lesson.id)).await;
        return Ok(Entrance::Recovered(Box::new(recovered)));
    }
    let Who { identity, user_id, org_id, kind, role } = who;
    let Ids { sid, pid } = hello.ids;
    let socket = AppSocket { sid, user_id, org_id, kind, role };
    let (client, known) = Client::enter(engine, apps, socket, (pid, identity), mailbox).await?;
    if known.before && kind != Kind::TeacherHub {
        welcome_back(engine, apps, &client.socket, known.lesson.as_ref()).await;
    }
    Ok(Entrance::New(client))
}

/// Whoever had a lesson is back.
async fn welcome_back(engine: &Engine, apps: &Apps, socket: &AppSocket, lesson: Option<&ClassroomId>) {
    if let Some(lesson) = lesson {
        // What Redis has is good enough here: a school that comes back at once is no reason to ask the database.
        let room = apps.state.room(lesson).await.ok().flatten();
        report(engine, apps, socket, What::Reconnect, (Some(lesson.clone()), room));
    }
}

/// The door is not open, so nobody comes here.
pub(super) fn closed() -> Refusal {
    Refusal::new(Code::InternalServerError, "this server has no classroom apps")
}
