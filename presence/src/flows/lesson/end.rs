//! The end of a classroom app's socket: forgotten in the lesson state, and told once to whom it concerns.

use super::{
    client::Client,
    notice::tell_org,
    report::{report, room},
};
use crate::{
    engine::Engine,
    ports::{
        analytics::What,
        lesson_state::{AppSocket, Ended},
        notices::Notice,
    },
};
use presence_core::app::Kind;

/// Nothing of the socket waits any longer. With `left` its connection is not to be taken up again.
#[tracing::instrument(name = "end_app", skip_all)]
pub async fn end(engine: &Engine, client: Client, left: bool) {
    let Some(apps) = &engine.apps else { return };
    let (socket, pid, answered) = client.leave();
    // Once: where it fails, `lifecycle/lessons` goes on with it.
    match apps.state.end(engine.replica_id, &socket, left.then_some(&pid)).await {
        Ok(Some(ended)) => tell(engine, &socket, ended).await,
        Ok(None) => {}
        Err(fault) => {
            let error = &fault as &dyn std::error::Error;
            tracing::warn!(error, "the end of an app's socket waits for the lesson state");
            return answered.leave_unfinished();
        }
    }
    drop(answered);
}

/// To be called by whoever ended the socket in the lesson state. Where the user has another socket, nobody went.
pub async fn tell(engine: &Engine, socket: &AppSocket, ended: Ended) {
    let Some(apps) = engine.apps.as_ref().filter(|_| ended.was_latest) else { return };
    if socket.kind == Kind::Teacher {
        let notice =
            Notice::TeacherDisconnect { org_id: socket.org_id.clone(), user_id: socket.user_id.clone() };
        tell_org(engine, apps, &notice).await;
    }
    if socket.kind != Kind::TeacherHub {
        let room = match &ended.lesson {
            Some(lesson) => room(apps, lesson).await,
            None => None,
        };
        report(engine, apps, socket, What::Disconnect, (ended.lesson, room));
    }
}
