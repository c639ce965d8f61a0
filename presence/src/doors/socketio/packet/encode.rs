//! Packets of Socket.IO v5, as this server says them: each the text of a whole Engine.IO message, ready to be sent.
//!
//! The events of a classroom are written where they are encoded once for all (`event::packet`).

use super::{AckId, Namespace};
use bytes::Bytes;
use presence_core::ids::{RecoveryId, SocketId};
use serde::Serialize;

/// The end of the main namespace; a client does not come back from it by itself.
pub const DISCONNECT: Bytes = Bytes::from_static(b"41");

#[derive(Serialize)]
struct Connected<'a> {
    sid: &'a SocketId,
    pid: &'a RecoveryId,
}

#[derive(Serialize)]
struct ConnectError<'a, T> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

/// The client is let in to the main namespace.
pub fn connected(sid: &SocketId, pid: &RecoveryId) -> Bytes {
    write("40".to_owned(), &Connected { sid, pid })
}

/// It is not let in.
pub fn connect_error<T: Serialize>(namespace: &Namespace, message: &str, data: Option<T>) -> Bytes {
    let head = match namespace {
        Namespace::Main => "44".to_owned(),
        Namespace::Other(name) => format!("44{name},"),
    };
    write(head, &ConnectError { message, data })
}

/// The answer to an event of the main namespace.
pub fn ack(id: AckId, answer: &impl Serialize) -> Bytes {
    write(format!("43{id}"), &[answer])
}

/// An event of the main namespace with one argument.
pub fn event(name: &str, argument: &impl Serialize) -> Bytes {
    write("42".to_owned(), &(name, argument))
}

fn write(head: String, payload: &impl Serialize) -> Bytes {
    let mut packet = head.into_bytes();
    serde_json::to_writer(&mut packet, payload).expect("a payload has string keys and finite numbers");
    packet.into()
}
