//! Packets of Engine.IO v4: a type, and what it carries. In a WebSocket frame there is one; in a body of HTTP there are
//! several, with a record separator between them and what is binary in base64.
//!
//! Messages are slices of what came in. A body is refused whole: nothing of it is taken where one packet is malformed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Serialize;

/// Between the packets of a body. No JSON holds one: in its texts it is escaped, elsewhere it is refused.
pub const SEPARATOR: u8 = 0x1e;

pub const CLOSE: Bytes = Bytes::from_static(b"1");
pub const PING: Bytes = Bytes::from_static(b"2");
/// The answer to a client that tries its WebSocket.
pub const PROBED: Bytes = Bytes::from_static(b"3probe");
/// Ends a poll that waits, and says nothing.
pub const NOOP: Bytes = Bytes::from_static(b"6");

/// What a client may say. What a packet carries beside these is allowed by the protocol, and means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    Close,
    /// `2probe`: does this WebSocket work?
    Probe,
    Pong,
    /// Text, in UTF-8.
    Message(Bytes),
    Binary(Bytes),
    /// From here on the WebSocket carries the connection.
    Upgrade,
    Noop,
}

/// Why bytes are no packets of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a packet is empty")]
    Empty,
    #[error("a packet is not UTF-8")]
    NotUtf8,
    #[error("a packet's type is unknown")]
    UnknownType,
    #[error("only the server opens")]
    Open,
    #[error("only the server pings")]
    Ping,
    #[error("a binary packet is not base64")]
    Base64,
    #[error("too many packets in one request")]
    TooManyPackets,
}

/// What a server says first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Open<'a> {
    pub sid: &'a str,
    pub upgrades: &'a [&'static str],
    /// Milliseconds.
    pub ping_interval: u64,
    /// Milliseconds.
    pub ping_timeout: u64,
    /// Bytes of a body, at most.
    pub max_payload: usize,
}

impl Open<'_> {
    pub fn encode(&self) -> Bytes {
        let mut packet = b"0".to_vec();
        serde_json::to_writer(&mut packet, self).expect("texts and numbers always serialize");
        packet.into()
    }
}

/// One text frame of a WebSocket.
pub fn decode(frame: &Bytes) -> Result<Packet, Malformed> {
    std::str::from_utf8(frame).map_err(|_| Malformed::NotUtf8)?;
    decode_text(frame)
}

/// The body of a request, of at most `max_packets`.
pub fn decode_body(body: &Bytes, max_packets: usize) -> Result<Vec<Packet>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::NotUtf8)?;
    // Counted first, so that a body cannot make this allocate more than it may say.
    let packets = text.bytes().filter(|byte| *byte == SEPARATOR).count() + 1;
    if packets > max_packets {
        return Err(Malformed::TooManyPackets);
    }
    text.split(char::from(SEPARATOR)).map(|packet| decode_text(&body.slice_ref(packet.as_bytes()))).collect()
}

/// The body that holds these packets, which are texts already. One alone is the body, and is not copied.
pub fn encode_body(packets: &[Bytes]) -> Bytes {
    let [first, rest @ ..] = packets else {
        return NOOP;
    };
    if rest.is_empty() {
        return first.clone();
    }
    let mut body = BytesMut::with_capacity(body_len(packets));
    body.put_slice(first);
    for packet in rest {
        body.put_u8(SEPARATOR);
        body.put_slice(packet);
    }
    body.freeze()
}

/// How many bytes such a body has.
pub fn body_len(packets: &[Bytes]) -> usize {
    packets.iter().map(Bytes::len).sum::<usize>() + packets.len().saturating_sub(1)
}

/// A text packet that carries a message.
pub fn message(text: &[u8]) -> Bytes {
    [b"4", text].concat().into()
}

/// A text packet that carries bytes, for those who cannot be sent any.
pub fn binary(bytes: &[u8]) -> Bytes {
    let mut packet = String::from("b");
    STANDARD.encode_string(bytes, &mut packet);
    packet.into()
}

/// `packet` is UTF-8. A WebSocket may carry base64 too: clients without binary frames do so.
fn decode_text(packet: &Bytes) -> Result<Packet, Malformed> {
    match packet.first().ok_or(Malformed::Empty)? {
        b'0' => Err(Malformed::Open),
        b'1' => Ok(Packet::Close),
        b'2' if &packet[1..] == b"probe" => Ok(Packet::Probe),
        b'2' => Err(Malformed::Ping),
        b'3' => Ok(Packet::Pong),
        b'4' => Ok(Packet::Message(packet.slice(1..))),
        b'5' => Ok(Packet::Upgrade),
        b'6' => Ok(Packet::Noop),
        b'b' => STANDARD
            .decode(&packet[1..])
            .map(|bytes| Packet::Binary(bytes.into()))
            .map_err(|_| Malformed::Base64),
        _ => Err(Malformed::UnknownType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 3;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn each_packet_of_a_client_is_understood() {
        let message = |text| Packet::Message(bytes(text));
        for (text, packet) in [
            ("1", Packet::Close),
            ("2probe", Packet::Probe),
            ("3", Packet::Pong),
            ("3probe", Packet::Pong),
            ("4", message("")),
            ("4hello", message("hello")),
            ("4€\u{1F600}", message("€\u{1F600}")),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
            ("b", Packet::Binary(Bytes::new())),
            ("bAQIDBA==", Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))),
        ] {
            assert_eq!(decode(&bytes(text)), Ok(packet.clone()), "{text}");
            assert_eq!(decode_body(&bytes(text), MAX), Ok(vec![packet]), "{text}");
        }
    }

    #[test]
    fn each_malformed_packet_is_an_error_of_its_own() {
        for (text, why) in [
            (&b""[..], Malformed::Empty),
            (b"4\xff", Malformed::NotUtf8),
            (b"7", Malformed::UnknownType),
            (b"abc", Malformed::UnknownType),
            (b" 4hello", Malformed::UnknownType),
            ("٤hello".as_bytes(), Malformed::UnknownType),
            (b"0", Malformed::Open),
            (b"0{}", Malformed::Open),
            (b"2", Malformed::Ping),
            (b"2prob", Malformed::Ping),
            (b"2probe!", Malformed::Ping),
            (b"b*", Malformed::Base64),
            (b"bAQIDBA=", Malformed::Base64),
            (b"bAQIDBA", Malformed::Base64),
            (b"bAQIDBB==", Malformed::Base64),
            (b"bAQ IDBA==", Malformed::Base64),
            (b"b-_8=", Malformed::Base64),
        ] {
            assert_eq!(decode(&Bytes::from_static(text)), Err(why), "{text:?}");
            assert_eq!(decode_body(&Bytes::from_static(text), MAX), Err(why), "{text:?}");
        }
    }

    #[test]
    fn a_body_is_taken_whole_or_not_at_all() {
        let taken = vec![
            Packet::Message(bytes("a")),
            Packet::Binary(Bytes::from_static(&[255])),
            Packet::Message(bytes("")),
        ];
        assert_eq!(decode_body(&bytes("4a\x1eb/w==\x1e4"), MAX), Ok(taken));
        for (text, why) in [
            ("4a\x1e", Malformed::Empty),
            ("\x1e4a", Malformed::Empty),
            ("4a\x1e\x1e4a", Malformed::Empty),
            ("4a\x1e9", Malformed::UnknownType),
            ("4a\x1e4b\x1e4c\x1e4d", Malformed::TooManyPackets),
            ("\x1e\x1e\x1e\x1e", Malformed::TooManyPackets),
        ] {
            assert_eq!(decode_body(&bytes(text), MAX), Err(why), "{text}");
        }
    }

    #[test]
    fn a_message_is_a_slice_of_what_came_in() {
        let body = Bytes::from("4hello\x1e4world".to_owned());
        let packets = decode_body(&body, MAX).unwrap();
        let [Packet::Message(first), Packet::Message(_)] = &packets[..] else { panic!("two messages") };
        assert_eq!(first.as_ptr(), body[1..].as_ptr());
    }

    #[test]
    fn a_body_of_one_packet_is_that_packet() {
        let packet = Bytes::from("4hello".to_owned());
        assert_eq!(encode_body(std::slice::from_ref(&packet)).as_ptr(), packet.as_ptr());
        assert_eq!(encode_body(&[packet.clone(), PING, binary(&[1, 2, 3, 4])]), "4hello\x1e2\x1ebAQIDBA==");
        assert_eq!(body_len(&[packet, PING]), 8);
        // A poll is never answered with nothing: that would be no packet.
        assert_eq!(encode_body(&[]), NOOP);
    }

    #[test]
    fn the_open_packet_says_what_a_client_must_know() {
        let open = Open {
            sid: "s",
            upgrades: &["websocket"],
            ping_interval: 25_000,
            ping_timeout: 20_000,
            max_payload: 1_000_000,
        };
        assert_eq!(
            open.encode(),
            r#"0{"sid":"s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
    }
}
