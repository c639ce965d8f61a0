//! The event that is measured: the same 200 bytes to every server, with its number and the moment it was due.

use std::time::Instant;

/// The bytes of every payload.
const PAYLOAD: usize = 200;
/// How a frame of ours begins, from whichever server. Others (who entered) are passed over after a glance.
const FRAME: &[u8] = br#"{"id":{"entity_type":"bench""#;
/// Keys are in their order by name, so that servers which sort them send the same bytes as those that do not.
const MARK: &[u8] = br#""payload":{"at":""#;
const BETWEEN: &[u8] = br#"","number":""#;
const DIGITS: usize = 15;

/// The entity type of our events.
pub(crate) const ENTITY: &str = "bench";
pub(crate) const OPERATION: &str = "tick";

/// Microseconds since the benchmark began. Writer and readers share it: they are one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> u64 {
        self.at(Instant::now())
    }

    pub(crate) fn at(self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.0).as_micros()).unwrap_or(u64::MAX)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) number: u64,
    /// When it was due, which may be before it could be sent: a publisher that is late delays nobody unseen.
    pub(crate) at: u64,
}

impl Tick {
    pub(crate) fn payload(self) -> String {
        let Self { number, at } = self;
        let start = format!(r#"{{"at":"{at:015}","number":"{number:015}","pad":""#);
        format!(r#"{start:x<width$}"}}"#, width = PAYLOAD - 2)
    }

    /// The tick in a text frame, if it is one of ours.
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        if !frame.starts_with(FRAME) {
            return None;
        }
        let from = FRAME.len();
        let mark = frame[from..].windows(MARK.len()).position(|window| window == MARK)?;
        let (at, rest) = digits(&frame[from + mark + MARK.len()..])?;
        let (number, _) = digits(rest.strip_prefix(BETWEEN)?)?;
        Some(Self { number, at })
    }
}

fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(DIGITS)?;
    let number = digits
        .iter()
        .try_fold(0, |sum: u64, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(payload: &str) -> String {
        format!(
            r#"{{"id":{{"entity_type":"bench","operation":"tick","sequence_id":7}},"payload":{payload},"seq":9}}"#
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_found(number in 0..10_u64.pow(15), at in 0..10_u64.pow(15)) {
            let tick = Tick { number, at };
            prop_assert_eq!(tick.payload().len(), PAYLOAD);
            prop_assert_eq!(Tick::find(frame(&tick.payload()).as_bytes()), Some(tick));
        }

        #[test]
        fn a_frame_that_ends_early_has_none(end in 0_usize..120) {
            let frame = frame(&Tick { number: 1, at: 2 }.payload());
            let found = Tick::find(&frame.as_bytes()[..end]);
            let whole = Some(Tick { number: 1, at: 2 });
            prop_assert!(found.is_none() || found == whole);
        }
    }

    #[test]
    fn a_payload_is_json_and_another_frame_is_not_ours() {
        let payload = Tick { number: 3, at: 4 }.payload();
        let value: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(value["number"], "000000000000003");
        assert_eq!(Tick::find(br#"{"id":{"entity_type":"agent"},"payload":{}}"#), None);
        assert_eq!(Tick::find(frame("{}").as_bytes()), None);
    }
}
