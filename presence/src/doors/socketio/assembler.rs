//! Packets from messages: a packet that announced attachments waits for them, and nothing else may come before them.

use super::packet::{Announced, Content, Malformed, Packet, parse};
use bytes::Bytes;

/// One per socket. It holds one packet at most, and of that packet `limit` bytes at most. One that is never completed
/// lives as long as its connection.
#[derive(Debug)]
pub struct Assembler {
    waiting: Option<Box<Waiting>>,
    limit: usize,
}

#[derive(Debug)]
struct Waiting {
    packet: Packet,
    missing: u8,
    attachments: Vec<Bytes>,
    /// How many bytes more its attachments may have.
    room: usize,
}

impl Assembler {
    /// `limit`: bytes of a packet with its attachments, at most.
    pub const fn new(limit: usize) -> Self {
        Self { waiting: None, limit }
    }

    /// From the next packet on.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// A text. `None`: there is more to come. After an error the connection is of no use.
    pub fn text(&mut self, message: &Bytes) -> Result<Option<Packet>, Malformed> {
        if self.waiting.is_some() {
            return Err(Malformed::AttachmentMissing);
        }
        let room = self.limit.checked_sub(message.len()).ok_or(Malformed::TooLarge)?;
        let Announced { packet, attachments } = parse(message)?;
        if attachments == 0 {
            return Ok(Some(packet));
        }
        self.waiting =
            Some(Box::new(Waiting { packet, missing: attachments, attachments: Vec::new(), room }));
        Ok(None)
    }

    /// An attachment.
    pub fn binary(&mut self, attachment: Bytes) -> Result<Option<Packet>, Malformed> {
        let waiting = self.waiting.as_mut().ok_or(Malformed::AttachmentUnannounced)?;
        waiting.room = waiting.room.checked_sub(attachment.len()).ok_or(Malformed::TooLarge)?;
        waiting.attachments.push(attachment);
        waiting.missing -= 1;
        if waiting.missing > 0 {
            return Ok(None);
        }
        Ok(self.waiting.take().map(|waiting| waiting.complete()))
    }
}

impl Waiting {
    fn complete(self) -> Packet {
        let mut packet = self.packet;
        match &mut packet.content {
            Content::Event(event) => event.attachments = self.attachments,
            Content::Ack { attachments, .. } => *attachments = self.attachments,
            // They announce none.
            Content::Connect { .. } | Content::Disconnect => {}
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"52-["file",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#;

    fn text(assembler: &mut Assembler, message: &'static str) -> Result<Option<Packet>, Malformed> {
        assembler.text(&Bytes::from_static(message.as_bytes()))
    }

    fn attachments(packet: Packet) -> Vec<Bytes> {
        match packet.content {
            Content::Event(event) => event.attachments,
            Content::Ack { attachments, .. } => attachments,
            Content::Connect { .. } | Content::Disconnect => panic!("no packet with attachments"),
        }
    }

    #[test]
    fn a_packet_comes_when_all_its_attachments_have_come() {
        let mut assembler = Assembler::new(1_000);
        for whole in [TWO, r#"62-7[[{"_placeholder":true,"num":0}],{"a":{"num":1,"_placeholder":true}}]"#] {
            assert_eq!(text(&mut assembler, whole), Ok(None));
            assert_eq!(assembler.binary(Bytes::from_static(b"one")), Ok(None));
            let packet = assembler.binary(Bytes::from_static(b"")).unwrap().unwrap();
            assert_eq!(attachments(packet), ["one", ""]);
            // And the next one may come.
            assert!(text(&mut assembler, r#"2["a"]"#).unwrap().is_some());
        }
    }

    #[test]
    fn a_binary_packet_without_attachments_is_whole() {
        let packet = text(&mut Assembler::new(1_000), r#"50-["a"]"#).unwrap().unwrap();
        assert_eq!(attachments(packet), [""; 0]);
    }

    #[test]
    fn nothing_comes_between_a_packet_and_its_attachments() {
        let mut assembler = Assembler::new(1_000);
        text(&mut assembler, TWO).unwrap();
        assembler.binary(Bytes::new()).unwrap();
        assert_eq!(text(&mut assembler, r#"2["a"]"#), Err(Malformed::AttachmentMissing));
    }

    #[test]
    fn an_attachment_that_nobody_announced_is_refused() {
        let mut assembler = Assembler::new(1_000);
        assert_eq!(assembler.binary(Bytes::new()), Err(Malformed::AttachmentUnannounced));
        text(&mut assembler, TWO).unwrap();
        assembler.binary(Bytes::new()).unwrap();
        assembler.binary(Bytes::new()).unwrap();
        assert_eq!(assembler.binary(Bytes::new()), Err(Malformed::AttachmentUnannounced));
    }

    #[test]
    fn a_packet_and_its_attachments_have_one_limit() {
        let room = |bytes| Assembler::new(TWO.len() + bytes);
        let send = |assembler: &mut Assembler| {
            text(assembler, TWO)?;
            assembler.binary(Bytes::from_static(&[0; 5]))?;
            assembler.binary(Bytes::from_static(&[0; 5]))
        };
        assert!(matches!(send(&mut room(10)), Ok(Some(_))));
        assert_eq!(send(&mut room(9)), Err(Malformed::TooLarge));
        assert_eq!(text(&mut Assembler::new(TWO.len() - 1), TWO), Err(Malformed::TooLarge));
        let mut assembler = room(0);
        assembler.set_limit(TWO.len() + 10);
        assert!(matches!(send(&mut assembler), Ok(Some(_))));
    }
}
