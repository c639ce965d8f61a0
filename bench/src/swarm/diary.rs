//! What one agent should have heard and what it heard, by position; and what is missing when the stream is known.
//!
//! An agent should hear, once, everything for it that the stream has between its first position and its last, but for
//! what a snapshot replaced. It is less than `presence-bench check` judges, and costs some bytes an event.

use std::collections::{BTreeMap, HashSet};

/// An event on the stream, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) seq: u64,
    pub(crate) receiver: Option<String>,
    pub(crate) sender: Option<String>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Diary {
    pub(crate) agent_id: String,
    pub(crate) classroom: String,
    /// `(after, up to]`: of each of these it should have heard everything. The last one is open while it is in.
    spans: Vec<(u64, u64)>,
    open: bool,
    heard: Vec<u64>,
}

/// What came of a comparison, in deliveries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Continuity {
    pub(crate) expected: u64,
    pub(crate) lost: u64,
    /// Heard, and not on the stream, or not for this agent.
    pub(crate) invented: u64,
}

impl Diary {
    pub(crate) fn new(agent_id: String, classroom: String) -> Self {
        Self { agent_id, classroom, ..Self::default() }
    }

    /// From here on it knows everything: it got the state as of this position.
    pub(crate) fn begin(&mut self, seq: u64) {
        self.end();
        self.spans.push((seq, seq));
        self.open = true;
    }

    /// It came in, with everything since its last position to follow.
    pub(crate) fn go_on(&mut self, from: u64) {
        if self.spans.is_empty() {
            self.begin(from);
        }
        self.open = true;
    }

    /// Heard for the first time.
    pub(crate) fn hear(&mut self, seq: u64) {
        self.heard.push(seq);
        if let Some((_, to)) = self.spans.last_mut() {
            *to = seq.max(*to);
        }
    }

    /// It has no socket any more: what came after what it heard last, it need not have heard.
    pub(crate) fn end(&mut self) {
        self.open = false;
    }

    /// The run is over, and everything has been quiet since this position.
    pub(crate) fn settle(&mut self, seq: u64) {
        if self.open
            && let Some((_, to)) = self.spans.last_mut()
        {
            *to = seq.max(*to);
        }
    }

    /// `room`: the stream's events of its classroom, in order.
    fn compare(&self, room: &[Kept]) -> Continuity {
        let mut heard: HashSet<u64> = self.heard.iter().copied().collect();
        let mut found = Continuity::default();
        for event in room.iter().filter(|event| event.is_for(&self.agent_id)) {
            let was_heard = heard.remove(&event.seq);
            if self.spans.iter().any(|(after, to)| *after < event.seq && event.seq <= *to) {
                found.expected += 1;
                found.lost += u64::from(!was_heard);
            }
        }
        found.invented = u64::try_from(heard.len()).unwrap_or(u64::MAX);
        found
    }
}

impl Kept {
    fn is_for(&self, agent_id: &str) -> bool {
        self.sender.as_deref() != Some(agent_id)
            && self.receiver.as_deref().is_none_or(|receiver| receiver == agent_id)
    }
}

/// All diaries against the stream, which is by classroom and in order.
pub(crate) fn compare(diaries: &[Diary], stream: &BTreeMap<String, Vec<Kept>>) -> Continuity {
    let mut all = Continuity::default();
    for diary in diaries {
        let room = stream.get(&diary.classroom).map_or(&[][..], Vec::as_slice);
        let Continuity { expected, lost, invented } = diary.compare(room);
        all.expected += expected;
        all.lost += lost;
        all.invented += invented;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(seqs: impl IntoIterator<Item = u64>) -> Vec<Kept> {
        seqs.into_iter().map(|seq| Kept { seq, receiver: None, sender: None }).collect()
    }

    fn diary() -> Diary {
        Diary::new("a".into(), "c".into())
    }

    fn counts(diary: &Diary, room: &[Kept]) -> (u64, u64, u64) {
        let Continuity { expected, lost, invented } = diary.compare(room);
        (expected, lost, invented)
    }

    #[test]
    fn what_is_missing_between_two_positions_is_lost() {
        let mut diary = diary();
        diary.begin(10);
        for seq in [11, 13] {
            diary.hear(seq);
        }
        assert_eq!(counts(&diary, &room(9..=14)), (3, 1, 0));
        diary.settle(14);
        assert_eq!(counts(&diary, &room(9..=14)), (4, 2, 0));
    }

    #[test]
    fn a_resume_bridges_an_absence_and_a_snapshot_does_not() {
        let mut resumed = diary();
        resumed.begin(10);
        resumed.hear(11);
        resumed.end();
        resumed.go_on(11);
        resumed.hear(14);
        assert_eq!(counts(&resumed, &room(11..=14)), (4, 2, 0));
        let mut stranger = diary();
        stranger.begin(10);
        stranger.hear(11);
        stranger.end();
        stranger.begin(13);
        stranger.hear(14);
        assert_eq!(counts(&stranger, &room(11..=14)), (2, 0, 0));
    }

    #[test]
    fn whoever_is_gone_need_not_hear_the_rest() {
        let mut diary = diary();
        diary.begin(10);
        diary.end();
        diary.settle(20);
        assert_eq!(counts(&diary, &room(11..=20)), (0, 0, 0));
    }

    #[test]
    fn what_was_not_for_it_must_not_be_heard() {
        let mut diary = diary();
        diary.begin(0);
        for seq in 1..=4 {
            diary.hear(seq);
        }
        let mut room = room(1..=3);
        room[0].receiver = Some("a".into());
        room[1].receiver = Some("b".into());
        room[2].sender = Some("a".into());
        assert_eq!(counts(&diary, &room), (1, 0, 3));
    }
}
