//! What is true of both packet layers, whatever comes in. The fuzz targets look for bytes that say otherwise
//! (`fuzz/`), and the corpus is what they are to start from; it is played here in every run of the tests.

use super::{
    assembler::Assembler,
    engine_packet::{self, Packet, SEPARATOR},
    packet::{self, AckId, Content, Json, MAX_ATTACHMENTS, Namespace},
};
use bytes::Bytes;
use serde_json::value::RawValue;

const MAX_PACKETS: usize = 64;
/// Of a packet with its attachments.
const LIMIT: usize = 4 * 1024;

/// The bytes are a frame, and a body.
pub fn engine_io(input: &[u8]) {
    let input = Bytes::copy_from_slice(input);
    let body = engine_packet::decode_body(&input, MAX_PACKETS);
    if !input.contains(&SEPARATOR) {
        let frame = engine_packet::decode(&input).map(|packet| vec![packet]);
        assert_eq!(frame, body, "a body of one packet is understood as a frame is");
    }
    let Ok(packets) = body else { return };
    let pieces = input.split(|byte| *byte == SEPARATOR).count();
    assert!(packets.len() == pieces && packets.len() <= MAX_PACKETS, "no packet is lost or made up");
    let texts: Vec<_> = packets.iter().map(text_of).collect();
    let written = engine_packet::encode_body(&texts);
    assert_eq!(written.len(), engine_packet::body_len(&texts), "its length is known before");
    assert_eq!(engine_packet::decode_body(&written, MAX_PACKETS), Ok(packets), "it is read as it was meant");
}

fn text_of(packet: &Packet) -> Bytes {
    match packet {
        Packet::Close => engine_packet::CLOSE,
        Packet::Probe => Bytes::from_static(b"2probe"),
        Packet::Pong => Bytes::from_static(b"3"),
        Packet::Message(text) => engine_packet::message(text),
        Packet::Binary(bytes) => engine_packet::binary(bytes),
        Packet::Upgrade => Bytes::from_static(b"5"),
        Packet::Noop => engine_packet::NOOP,
    }
}

/// The bytes are the messages of a connection with a separator between them. One that begins with `b` is an attachment,
/// which follows as it is; the others are texts.
pub fn socket_io(input: &[u8]) {
    let input = Bytes::copy_from_slice(input);
    let mut assembler = Assembler::new(LIMIT);
    for message in input.split(|byte| *byte == SEPARATOR) {
        let message = input.slice_ref(message);
        let came = match message.first() {
            Some(b'b') => assembler.binary(message.slice(1..)),
            _ => assembler.text(&message),
        };
        match came {
            Ok(Some(packet)) => is_sound(&packet),
            Ok(None) => {}
            // It has closed the connection.
            Err(why) => return assert!(!why.to_string().is_empty()),
        }
    }
}

fn is_sound(packet: &packet::Packet) {
    if let Namespace::Other(name) = &packet.namespace {
        assert!(name.starts_with('/') && name.len() > 1 && !name.contains([',', '?', '\x1e']), "{name}");
    }
    let attachments = match &packet.content {
        Content::Event(event) => &event.attachments[..],
        Content::Ack { attachments, .. } => attachments,
        Content::Connect { .. } | Content::Disconnect => &[],
    };
    let bytes: usize = attachments.iter().map(Bytes::len).sum();
    assert!(attachments.len() <= usize::from(MAX_ATTACHMENTS) && bytes <= LIMIT, "there are bounds");
    read_again(packet, attachments);
}

/// What was understood, written down, is understood in the same way.
fn read_again(packet: &packet::Packet, attachments: &[Bytes]) {
    let mut assembler = Assembler::new(usize::MAX);
    let written = write(packet, attachments.len());
    let mut read = assembler.text(&written);
    for attachment in attachments {
        assert_eq!(read, Ok(None), "{written:?}");
        read = assembler.binary(attachment.clone());
    }
    assert!(matches!(&read, Ok(Some(read)) if read == packet), "{written:?}: {read:?}");
}

fn write(packet: &packet::Packet, attachments: usize) -> Bytes {
    let (kind, rest) = match &packet.content {
        Content::Connect { auth } => (0, auth.iter().map(raw).collect()),
        Content::Disconnect => (1, String::new()),
        Content::Event(event) => {
            let name = serde_json::to_string(&event.name).expect("a text serializes");
            (2, number(event.ack) + &array([name].into_iter().chain(event.arguments.iter().map(raw))))
        }
        Content::Ack { id, arguments, .. } => (3, number(Some(*id)) + &array(arguments.iter().map(raw))),
    };
    let kind = match attachments {
        0 => format!("{kind}"),
        some => format!("{}{some}-", kind + 3),
    };
    let namespace = match &packet.namespace {
        Namespace::Main => String::new(),
        Namespace::Other(name) => format!("{name},"),
    };
    format!("{kind}{namespace}{rest}").into()
}

fn number(ack: Option<AckId>) -> String {
    ack.map(|id| id.to_string()).unwrap_or_default()
}

fn array(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.collect::<Vec<_>>().join(","))
}

/// As it was said; and it is JSON, as was promised.
fn raw(json: &Json) -> String {
    json.decode::<&RawValue>().expect("a packet holds JSON only").get().to_owned()
}
