//! Packets of Socket.IO v5, as a client sends them: `<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`.
//!
//! What a client said stays the bytes that came in: a packet holds slices of them, checked to be JSON and read by whom
//! they concern. How packets are written is in `encode.rs`, how their attachments join them in `../assembler.rs`.

mod encode;
mod payload;
#[cfg(test)]
mod tests;

pub use encode::{DISCONNECT, ack, connect_error, connected, event};

use bytes::Bytes;
use payload::Payload;
use serde::Deserialize;
use std::{fmt, str};

/// Attachments of a packet, at most: what the reference parser allows.
pub const MAX_ATTACHMENTS: u8 = 10;
/// Elements of a payload, at most, an event's name among them: each is a value of its own in memory, however short.
pub const MAX_ELEMENTS: usize = 64;
/// How deep arrays and objects may lie in each other, the payload's own among them.
pub const MAX_DEPTH: usize = 64;
/// Bytes of a namespace with its query, at most.
pub const MAX_NAMESPACE: usize = 256;

/// What a client says in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub namespace: Namespace,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An object, or nothing.
    Connect {
        auth: Option<Json>,
    },
    Disconnect,
    Event(Event),
    Ack {
        id: AckId,
        arguments: Vec<Json>,
        attachments: Vec<Bytes>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    /// Those after the name.
    pub arguments: Vec<Json>,
    /// Where the client waits for an answer.
    pub ack: Option<AckId>,
    /// What its placeholders stand for, by their numbers.
    pub attachments: Vec<Bytes>,
}

/// Where a packet belongs to. A query behind the name is taken off: in v5 it means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Namespace {
    /// `/`
    #[default]
    Main,
    /// Begins with `/`, and holds neither `,` nor a control character.
    Other(String),
}

/// The number under which a client waits for an answer. It is written as it was read: clients look it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckId(u64);

impl AckId {
    /// The largest whole number that every client can count to.
    pub const MAX: Self = Self((1 << 53) - 1);
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One JSON value, checked to be one. It may hold a token, so it prints as its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

/// A packet, and how many attachments follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub packet: Packet,
    pub attachments: u8,
}

/// Why a client's message is no packet, or does not fit those before it. It says nothing of the message's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a packet is empty")]
    Empty,
    #[error("a packet is not UTF-8")]
    NotUtf8,
    #[error("a packet's type is unknown")]
    UnknownType,
    #[error("only the server refuses a connection")]
    ConnectError,
    #[error("a binary packet does not say how many attachments it has")]
    Attachments,
    #[error("a packet has more than {MAX_ATTACHMENTS} attachments")]
    TooManyAttachments,
    #[error("a namespace is longer than {MAX_NAMESPACE} bytes, or holds a control character")]
    Namespace,
    #[error("an acknowledgement's id is larger than {max}", max = AckId::MAX)]
    AckId,
    #[error("a packet that nobody answers has an acknowledgement's id")]
    UnexpectedAckId,
    #[error("an acknowledgement has no id")]
    NoAckId,
    #[error("a packet has no payload")]
    NoPayload,
    #[error("a packet that has none has a payload")]
    UnexpectedPayload,
    #[error("a payload is not JSON")]
    NotJson,
    #[error("a payload is deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("what a client connects with is not an object")]
    NotAnObject,
    #[error("a payload is not an array")]
    NotAnArray,
    #[error("a payload has more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    #[error("an event has no name, or one that is not a text")]
    NoName,
    #[error("an event has a reserved name")]
    ReservedName,
    #[error("placeholders and attachments do not match")]
    Placeholder,
    #[error("a text where an attachment was announced")]
    AttachmentMissing,
    #[error("an attachment that was not announced")]
    AttachmentUnannounced,
    #[error("a packet is too large with its attachments")]
    TooLarge,
}

/// One message of text.
pub fn parse(message: &Bytes) -> Result<Announced, Malformed> {
    let text = str::from_utf8(message).map_err(|_| Malformed::NotUtf8)?;
    let kind = text.bytes().next().ok_or(Malformed::Empty)?;
    let rest = match kind {
        b'0'..=b'3' | b'5' | b'6' => &text[1..],
        b'4' => return Err(Malformed::ConnectError),
        _ => return Err(Malformed::UnknownType),
    };
    let (attachments, rest) = if kind >= b'5' { attachments(rest)? } else { (0, rest) };
    let (namespace, rest) = namespace(rest)?;
    let (ack, json) = ack_id(rest)?;
    let payload = Payload { message, json, attachments };
    let content = match kind {
        b'0' => connect(ack, &payload)?,
        b'1' => disconnect(ack, &payload)?,
        b'2' | b'5' => Content::Event(payload.event(ack)?),
        _ => acknowledgement(ack, &payload)?,
    };
    Ok(Announced { packet: Packet { namespace, content }, attachments })
}

fn connect(ack: Option<AckId>, payload: &Payload<'_>) -> Result<Content, Malformed> {
    match ack {
        Some(_) => Err(Malformed::UnexpectedAckId),
        None => Ok(Content::Connect { auth: payload.object()? }),
    }
}

fn disconnect(ack: Option<AckId>, payload: &Payload<'_>) -> Result<Content, Malformed> {
    match ack {
        Some(_) => Err(Malformed::UnexpectedAckId),
        None if payload.json.is_empty() => Ok(Content::Disconnect),
        None => Err(Malformed::UnexpectedPayload),
    }
}

fn acknowledgement(ack: Option<AckId>, payload: &Payload<'_>) -> Result<Content, Malformed> {
    let id = ack.ok_or(Malformed::NoAckId)?;
    Ok(Content::Ack { id, arguments: payload.array()?, attachments: Vec::new() })
}

/// `<number>-`
fn attachments(text: &str) -> Result<(u8, &str), Malformed> {
    let (digits, rest) = digits(text);
    let rest = rest.strip_prefix('-').ok_or(Malformed::Attachments)?;
    if digits.is_empty() {
        return Err(Malformed::Attachments);
    }
    let number = digits.parse().ok().filter(|number| *number <= MAX_ATTACHMENTS);
    Ok((number.ok_or(Malformed::TooManyAttachments)?, rest))
}

/// `/name,`; the comma may be missing where nothing follows it.
fn namespace(text: &str) -> Result<(Namespace, &str), Malformed> {
    if !text.starts_with('/') {
        return Ok((Namespace::Main, text));
    }
    let (name, rest) = text.split_once(',').unwrap_or((text, ""));
    if name.len() > MAX_NAMESPACE || name.chars().any(char::is_control) {
        return Err(Malformed::Namespace);
    }
    let name = name.split_once('?').map_or(name, |(name, _)| name);
    let namespace = if name == "/" { Namespace::Main } else { Namespace::Other(name.to_owned()) };
    Ok((namespace, rest))
}

fn ack_id(text: &str) -> Result<(Option<AckId>, &str), Malformed> {
    let (digits, rest) = digits(text);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    let number = digits.parse().ok().filter(|number| *number <= AckId::MAX.0);
    Ok((Some(AckId(number.ok_or(Malformed::AckId)?)), rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}
