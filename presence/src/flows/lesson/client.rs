//! A classroom app that was let in, for as long as its socket lasts.

use crate::{
    apps::{Answered, Apps},
    engine::Engine,
    hub::{Listening, Mailbox},
    ports::{
        authn::Identity,
        lesson_state::{AppSocket, Known},
    },
    telemetry::Counted,
};
use presence_core::ids::{ClassroomId, RecoveryId};
use std::sync::Arc;

use super::refusal::Refusal;

#[derive(Debug)]
pub struct Client {
    pub socket: AppSocket,
    /// By what its client takes up this connection again.
    pub pid: RecoveryId,
    /// Of the token that let it in.
    pub identity: Identity,
    pub lesson: Option<InLesson>,
    pub(super) answered: Answered,
    /// Hubs and managers hear their org.
    listening: Option<Listening>,
    counted: Counted,
}

/// The lesson that a socket is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InLesson {
    pub id: ClassroomId,
    /// Where the student sits, if the backend says so.
    pub seat: Option<String>,
}

impl Client {
    /// Writes the socket into the lesson state. After a fault it may be there or not: what is there and is not answered
    /// for is ended by the reconcile.
    pub(super) async fn enter(
        engine: &Engine,
        apps: &Apps,
        socket: AppSocket,
        (pid, identity): (RecoveryId, Identity),
        mailbox: &Arc<Mailbox>,
    ) -> Result<(Box<Self>, Known), Refusal> {
        let login_time = engine.deps.clock.wall().as_secs();
        let answered = apps.present.answer_for(&socket, login_time);
        let known = apps.state.connect(engine.replica_id, &socket, login_time).await?;
        let listening = socket
            .kind
            .is_product()
            .then(|| apps.orgs.listen(&socket.org_id, socket.kind, &socket.sid, mailbox));
        let counted = Counted::new(&engine.deps.metrics.app_sockets(socket.kind));
        let client = Self { socket, pid, identity, lesson: None, answered, listening, counted };
        Ok((Box::new(client), known))
    }

    /// Takes it apart: it hears and counts no longer, and is still answered for.
    pub(super) fn leave(self) -> (AppSocket, RecoveryId, Answered) {
        let Self { socket, pid, answered, listening, counted, .. } = self;
        drop((listening, counted));
        (socket, pid, answered)
    }
}
