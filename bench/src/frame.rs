//! WebSocket frames as a client sees them: found in what was read, however it was cut, and written in the one way that
//! costs nothing. It knows what both servers here send and no more: whole, unmasked, uncompressed frames.

/// What may be sent to a client that never asked for so much. A snapshot of 200 agents has some 20 KB.
const LONGEST: usize = 1024 * 1024;
/// What a finished frame may leave allocated.
const KEEP: usize = 2 * 1024;
/// Lengths from here on stand behind the second byte: in two bytes with this there, in eight with one more.
const SHORT: u8 = 0x7e;
const LONG: u8 = 0x7f;
const MASK: u8 = 0x80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// What no server here sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A reserved opcode, or a reserved bit.
    Opcode,
    Fragmented,
    Masked,
    TooLong,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Opcode => "a frame with an unknown opcode or a reserved bit",
            Self::Fragmented => "a fragmented message",
            Self::Masked => "a masked frame from a server",
            Self::TooLong => "a frame of more than 1 MiB",
        })
    }
}

impl std::error::Error for Broken {}

/// Where a frame's payload lies, counted from the frame's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    opcode: Opcode,
    start: usize,
    end: usize,
}

/// The header at the start of `bytes`; none while there is too little of it.
fn header(bytes: &[u8]) -> Result<Option<Header>, Broken> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let opcode = match first & 0x7f {
        0 => return Err(Broken::Fragmented),
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(Broken::Opcode),
    };
    if first & 0x80 == 0 {
        return Err(Broken::Fragmented);
    }
    if second & MASK != 0 {
        return Err(Broken::Masked);
    }
    let (start, length) = match second {
        ..SHORT => (2, Some(usize::from(*second))),
        &SHORT => (4, rest.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)))),
        _ => {
            let length = rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            (10, length.map(|length| usize::try_from(length).unwrap_or(usize::MAX)))
        }
    };
    let Some(length) = length else {
        return Ok(None);
    };
    if length > LONGEST {
        return Err(Broken::TooLong);
    }
    Ok(Some(Header { opcode, start, end: start + length }))
}

/// Finds frames in a byte stream. A frame that came whole is not copied; of one that was cut, the beginning is kept.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    begun: Vec<u8>,
}

impl Scanner {
    /// Hands each frame that these bytes complete to `found`.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut found: impl FnMut(Opcode, &[u8]),
    ) -> Result<(), Broken> {
        if !self.begun.is_empty() {
            let Some(rest) = self.complete(bytes, &mut found)? else {
                return Ok(());
            };
            bytes = rest;
        }
        while let Some(head) = header(bytes)?.filter(|head| head.end <= bytes.len()) {
            found(head.opcode, &bytes[head.start..head.end]);
            bytes = &bytes[head.end..];
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes what the begun frame lacks. Returns what is left over once it is complete.
    fn complete<'a>(
        &mut self,
        mut bytes: &'a [u8],
        found: &mut impl FnMut(Opcode, &[u8]),
    ) -> Result<Option<&'a [u8]>, Broken> {
        loop {
            let head = header(&self.begun)?;
            if let Some(head) = head.filter(|head| head.end == self.begun.len()) {
                found(head.opcode, &self.begun[head.start..]);
                self.begun.clear();
                self.begun.shrink_to(KEEP);
                return Ok(Some(bytes));
            }
            // Without a header one byte at a time: not one of the next frame may be taken.
            let lacking = head.map_or(1, |head| head.end - self.begun.len());
            let (taken, rest) = bytes.split_at(lacking.min(bytes.len()));
            if taken.is_empty() {
                return Ok(None);
            }
            self.begun.extend_from_slice(taken);
            bytes = rest;
        }
    }
}

/// A client's text frame. Its mask is zero, which is legal and leaves the payload as it is.
pub(crate) fn masked_text(payload: &[u8]) -> Vec<u8> {
    masked(0x81, payload)
}

/// The answer to a ping.
pub(crate) fn masked_pong(payload: &[u8]) -> Vec<u8> {
    masked(0x8a, payload)
}

/// Good-bye; with 1000, or with the code that is answered.
pub(crate) fn masked_close(code: u16) -> Vec<u8> {
    masked(0x88, &code.to_be_bytes())
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(first);
    let length = payload.len();
    if let Some(short) = u8::try_from(length).ok().filter(|short| *short < SHORT) {
        frame.push(MASK | short);
    } else if let Ok(length) = u16::try_from(length) {
        frame.push(MASK | SHORT);
        frame.extend_from_slice(&length.to_be_bytes());
    } else {
        frame.push(MASK | LONG);
        frame.extend_from_slice(&(length as u64).to_be_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader, coding::OpCode};

    const OPCODES: [(u8, Opcode); 5] =
        [(1, Opcode::Text), (2, Opcode::Binary), (8, Opcode::Close), (9, Opcode::Ping), (10, Opcode::Pong)];

    /// A server's frame, as another implementation writes it.
    fn served(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![];
        let code = OPCODES.iter().find(|(_, other)| *other == opcode).unwrap().0;
        let header = FrameHeader { opcode: OpCode::from(code), ..FrameHeader::default() };
        let frame = Frame::from_payload(header, payload.to_vec().into());
        frame.format(&mut bytes).unwrap();
        bytes
    }

    fn scan(pieces: &[&[u8]]) -> Result<Vec<(Opcode, Vec<u8>)>, Broken> {
        let (mut scanner, mut found) = (Scanner::default(), vec![]);
        for piece in pieces {
            scanner.feed(piece, |opcode, payload| found.push((opcode, payload.to_vec())))?;
        }
        Ok(found)
    }

    fn a_frame() -> impl Strategy<Value = (Opcode, Vec<u8>)> {
        let opcode = prop::sample::select(OPCODES.to_vec());
        let length = prop_oneof![8 => 0_usize..300, 1 => 65_530_usize..65_540];
        (opcode, length, any::<u8>()).prop_map(|((_, opcode), length, fill)| (opcode, vec![fill; length]))
    }

    proptest! {
        #[test]
        fn frames_are_found_however_they_are_cut(
            frames in prop::collection::vec(a_frame(), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|(op, body)| served(*op, body)).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            let found = scan(&pieces).unwrap();
            prop_assert_eq!(found, frames);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = scan(&[&bytes]);
        }
    }

    #[test]
    fn a_byte_at_a_time_is_enough() {
        let stream =
            [served(Opcode::Text, b"one"), served(Opcode::Ping, &[]), served(Opcode::Text, &[b'x'; 200])]
                .concat();
        let pieces: Vec<&[u8]> = stream.chunks(1).collect();
        let found = scan(&pieces).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], (Opcode::Text, b"one".to_vec()));
        assert_eq!(found[1], (Opcode::Ping, vec![]));
    }

    #[test]
    fn what_no_server_here_sends_is_broken() {
        assert_eq!(scan(&[&[0x01, 0]]), Err(Broken::Fragmented));
        assert_eq!(scan(&[&[0x80, 0]]), Err(Broken::Fragmented));
        assert_eq!(scan(&[&[0x81, 0x80]]), Err(Broken::Masked));
        assert_eq!(scan(&[&[0xc1, 0]]), Err(Broken::Opcode));
        assert_eq!(scan(&[&[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0]]), Err(Broken::TooLong));
    }

    #[test]
    fn a_client_frame_is_masked_with_zero() {
        assert_eq!(masked_text(b"hi"), [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(masked_pong(&[]), [0x8a, 0x80, 0, 0, 0, 0]);
        assert_eq!(masked_close(1000), [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
        assert_eq!(masked_text(&[0; 126])[..4], [0x81, 0xfe, 0, 126]);
        assert_eq!(masked_text(&vec![0; 65_536])[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
