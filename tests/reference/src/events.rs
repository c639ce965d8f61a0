//! What is done for each event: the flows of the classroom apps, as far as a server without sessions has them.

use crate::{
    backend::Backend,
    visitor::{Stranger, Visitor},
};
use serde::Deserialize;
use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, Extension, SocketRef, TryData},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Joining {
    user_id: String,
    lesson_id: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LoggingOut {
    user_id: String,
    org_id: String,
}

/// Refuses whoever does not say who it is. Whoever is let in may ask at once, so everything is in place before it knows.
pub(crate) async fn let_in(socket: SocketRef, auth: Option<Value>, backend: Backend) -> Result<(), Stranger> {
    let who = Visitor::of(&socket.req_parts().uri, auth.as_ref())?;
    if let Err(error) = backend.connected(&who, socket.id.as_str()).await {
        complain(&error);
        return Err(Stranger::Unavailable);
    }
    socket.extensions.insert(who);
    socket.extensions.insert(backend);
    socket.on("join_lesson", join_lesson);
    socket.on("log_out", log_out);
    socket.on("say", say);
    socket.on_disconnect(disconnected);
    Ok(())
}

pub(crate) async fn connected(socket: SocketRef, Extension(who): Extension<Visitor>) {
    if who.kind == "manager" || who.kind == "teacher_hub" {
        socket.join(listeners(&who.kind, &who.org));
    }
}

async fn join_lesson(
    socket: SocketRef,
    TryData(joining): TryData<Joining>,
    acknowledge: AckSender,
    Extension(who): Extension<Visitor>,
    Extension(backend): Extension<Backend>,
) {
    let answer = match joining {
        Err(_) => problem("bad_request", "it has not the form of join_lesson"),
        Ok(joining) if joining.user_id != who.user => problem("forbidden", "user_id is somebody else's"),
        Ok(joining) => match backend.join(&who, socket.id.as_str(), &joining.lesson_id).await {
            Ok(Some(data)) => {
                socket.join(joining.lesson_id);
                json!({ "status": "SUCCESS", "data": data })
            }
            Ok(None) => problem("lesson_not_found", "there is no such lesson"),
            Err(error) => problem("unavailable", &format!("{error:#}")),
        },
    };
    // One that cannot be sent is its client's end, which is seen elsewhere; also below.
    let _ = acknowledge.send(&answer);
}

async fn log_out(
    io: SocketIo,
    TryData(request): TryData<LoggingOut>,
    acknowledge: AckSender,
    Extension(who): Extension<Visitor>,
    Extension(backend): Extension<Backend>,
) {
    let answer = match request {
        Err(_) => problem("bad_request", "it has not the form of log_out"),
        Ok(request) if request.user_id != who.user || request.org_id != who.org => {
            problem("forbidden", "user_id or org_id is somebody else's")
        }
        Ok(request) => match backend.logged_out(&who).await {
            Ok(()) => {
                let told = json!({ "user_id": request.user_id, "org_id": request.org_id });
                let _ = io.to(listeners("manager", &who.org)).emit("log_out", &told).await;
                json!({ "status": "SUCCESS", "data": {} })
            }
            Err(error) => problem("unavailable", &format!("{error:#}")),
        },
    };
    let _ = acknowledge.send(&answer);
}

/// Whoever asks has something told to a whole room: what a benchmark counts.
async fn say(io: SocketIo, Data((room, event)): Data<(String, Value)>) {
    let _ = io.to(room).emit("event", &event).await;
}

async fn disconnected(
    io: SocketIo,
    Extension(who): Extension<Visitor>,
    Extension(backend): Extension<Backend>,
) {
    if who.kind != "teacher" {
        return;
    }
    if let Err(error) = backend.disconnected(&who).await {
        return complain(&error);
    }
    let gone = json!({ "user_id": who.user });
    let _ = io.to(listeners("teacher_hub", &who.org)).emit("teacher_disconnect", &gone).await;
}

/// The room of those who hear what concerns an org.
fn listeners(kind: &str, org: &str) -> String {
    format!("{kind}s of {org}")
}

fn problem(code: &str, message: &str) -> Value {
    json!({ "status": "ERROR", "data": { "code": code, "message": message } })
}

fn complain(error: &anyhow::Error) {
    eprintln!("{error:#}");
}
