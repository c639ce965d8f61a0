//! The tracker against a model of the stream: whatever the live path does, nothing is missing in silence.

use super::*;
use proptest::prelude::*;

#[test]
fn a_chain_without_a_hole_is_handed_on_as_it_comes() {
    let mut tracker = Tracker::new(10);
    assert_eq!(tracker.live("agent", 12, 9), Verdict::Deliver);
    assert_eq!(tracker.live("chat", 15, 0), Verdict::Deliver);
    assert_eq!(tracker.live("agent", 16, 12), Verdict::Deliver);
    assert_eq!(tracker.delivered(), 16);
}

#[test]
fn what_came_before_the_subscription_or_twice_is_seen() {
    let mut tracker = Tracker::new(10);
    assert_eq!(tracker.live("agent", 10, 0), Verdict::Seen);
    assert_eq!(tracker.live("agent", 12, 10), Verdict::Deliver);
    assert_eq!(tracker.live("agent", 12, 10), Verdict::Seen);
}

#[test]
fn a_broken_link_is_repaired_while_order_allows() {
    let mut tracker = Tracker::new(10);
    assert_eq!(tracker.live("agent", 14, 12), Verdict::Missing);
    assert!(tracker.is_settled());
    tracker.restart(14);
    assert_eq!(tracker.live("agent", 14, 12), Verdict::Seen);
    assert_eq!(tracker.live("agent", 15, 14), Verdict::Deliver);
}

#[test]
fn a_loss_behind_another_topic_is_announced() {
    let mut tracker = Tracker::new(10);
    assert_eq!(tracker.live("agent", 12, 0), Verdict::Deliver);
    assert_eq!(tracker.live("chat", 14, 11), Verdict::GapThenDeliver);
    let mut tracker = Tracker::new(10);
    assert_eq!(tracker.live("agent", 12, 0), Verdict::Deliver);
    assert_eq!(tracker.live("chat", 11, 0), Verdict::GapInstead);
    assert_eq!(tracker.live("chat", 14, 11), Verdict::Deliver);
}

#[test]
fn a_comparison_finds_what_no_later_message_tells() {
    let mut tracker = Tracker::new(10);
    assert_eq!(tracker.live("agent", 12, 0), Verdict::Deliver);
    let compare = |tracker: &mut Tracker, lasts: &[(&'static str, u64)], as_of| {
        tracker.compare(lasts.iter().copied(), as_of)
    };
    assert_eq!(compare(&mut tracker, &[("agent", 12), ("chat", 9)], 12), Comparison::Whole);
    assert_eq!(tracker.settled(), 12);
    assert_eq!(compare(&mut tracker, &[("agent", 12), ("chat", 13)], 13), Comparison::Behind);
    assert_eq!(tracker.live("agent", 14, 12), Verdict::Deliver);
    assert_eq!(compare(&mut tracker, &[("agent", 14), ("chat", 13)], 14), Comparison::Lost);
    assert_eq!(compare(&mut tracker, &[("agent", 14), ("chat", 13)], 14), Comparison::Whole);
}

#[test]
fn a_hole_behind_is_found_before_a_read_would_bury_it() {
    let mut tracker = Tracker::new(10);
    assert_eq!(tracker.live("chat", 12, 0), Verdict::Deliver);
    assert_eq!(tracker.live("agent", 16, 14), Verdict::Missing);
    assert_eq!(tracker.prove([("chat", 9)].into_iter()), Proof::Lagging);
    assert_eq!(tracker.prove([("chat", 12), ("agent", 11)].into_iter()), Proof::Lost);
    assert_eq!(tracker.prove([("chat", 12), ("agent", 11)].into_iter()), Proof::Whole);
}

#[test]
fn a_lagging_replica_settles_no_more_than_it_knows() {
    let mut tracker = Tracker::new(10);
    assert_eq!(tracker.live("agent", 12, 0), Verdict::Deliver);
    assert_eq!(tracker.compare([("agent", 11)].into_iter(), 11), Comparison::Whole);
    assert_eq!(tracker.settled(), 11);
    assert_eq!(tracker.live("agent", 12, 0), Verdict::Seen);
}

#[test]
fn topics_without_end_cost_a_gap_and_no_memory() {
    let mut tracker = Tracker::new(0);
    let mut gaps = 0;
    for seq in 1..=5000 {
        if tracker.live(&format!("topic-{seq}"), seq, 0) == Verdict::GapThenDeliver {
            gaps += 1;
        }
        assert!(tracker.heads.len() <= MAX_TOPICS);
    }
    assert_eq!(gaps, 4);
}

/// The stream, and what a subscription made of it.
struct Model {
    /// (topic, position, the topic's previous position), in order of position.
    stream: Vec<(String, u64, u64)>,
    tracker: Tracker,
    out: Vec<u64>,
    gaps: Vec<u64>,
}

impl Model {
    fn new(topics: &[u8]) -> Self {
        let mut lasts = HashMap::new();
        let stream = topics.iter().zip(1..).map(|(topic, n)| {
            // Other classrooms' messages stand between ours.
            let (topic, seq) = (format!("t{topic}"), n * 3);
            let previous = lasts.insert(topic.clone(), seq).unwrap_or(0);
            (topic, seq, previous)
        });
        let stream = stream.collect();
        Self { stream, tracker: Tracker::new(0), out: vec![], gaps: vec![] }
    }

    fn live(&mut self, at: usize) {
        let (topic, seq, previous) = self.stream[at].clone();
        match self.tracker.live(&topic, seq, previous) {
            Verdict::Deliver => self.out.push(seq),
            Verdict::Seen => {}
            Verdict::Missing => self.read(seq),
            Verdict::GapThenDeliver => {
                self.gaps.push(seq);
                self.out.push(seq);
            }
            Verdict::GapInstead => self.gaps.push(self.tracker.delivered()),
        }
    }

    fn read(&mut self, up_to: u64) {
        let after = self.tracker.delivered();
        if self.tracker.prove(lasts(&self.stream, after)) == Proof::Lost {
            self.gaps.push(after);
        }
        let found = self.stream.iter().filter(|m| m.1 > after && m.1 <= up_to);
        self.out.extend(found.map(|m| m.1));
        self.tracker.restart(up_to);
    }

    fn check(&mut self, up_to: u64) {
        loop {
            match self.tracker.compare(lasts(&self.stream, up_to), up_to) {
                Comparison::Whole => return,
                Comparison::Behind => self.read(up_to),
                Comparison::Lost => self.gaps.push(self.tracker.delivered()),
            }
        }
    }
}

fn lasts(stream: &[(String, u64, u64)], up_to: u64) -> impl Iterator<Item = (&str, u64)> {
    let known = stream.iter().filter(move |m| m.1 <= up_to);
    let lasts: HashMap<&str, u64> = known.map(|(topic, seq, _)| (topic.as_str(), *seq)).collect();
    lasts.into_iter()
}

/// One step of the live path: how far back the message stands from the newest, whether it is lost, whether the
/// watchdog looks afterwards.
type Step = (u8, bool, bool);

fn run(topics: &[u8], steps: &[Step]) -> Model {
    let mut model = Model::new(topics);
    for (newest, (back, lost, check)) in steps.iter().enumerate().take(topics.len()) {
        if !lost {
            model.live(newest.saturating_sub(usize::from(*back)));
        }
        if *check {
            model.check(model.stream[newest].1);
        }
    }
    let end = model.stream.last().map_or(0, |m| m.1);
    model.check(end);
    model
}

proptest! {
    /// `back` > 0 delivers an older message again or late, and the newest not at all: loss, duplicates, reordering.
    #[test]
    fn in_order_once_and_nothing_missing_in_silence(
        topics in prop::collection::vec(0u8..4, 1..60),
        steps in prop::collection::vec((0u8..4, any::<bool>(), prop::bool::weighted(0.1)), 60),
    ) {
        let model = run(&topics, &steps);
        prop_assert!(model.out.is_sorted_by(|a, b| a < b), "{:?}", model.out);
        for (_, seq, _) in &model.stream {
            let announced = model.gaps.iter().any(|gap| gap >= seq);
            prop_assert!(model.out.contains(seq) || announced, "{seq} is missing: {:?} {:?}", model.out, model.gaps);
        }
    }

    #[test]
    fn one_topic_never_needs_a_gap_when_nothing_comes_late(
        steps in prop::collection::vec((Just(0u8), any::<bool>(), prop::bool::weighted(0.1)), 1..60),
    ) {
        let model = run(&vec![0; steps.len()], &steps);
        prop_assert!(model.gaps.is_empty());
        prop_assert_eq!(model.out.len(), steps.len());
    }

    #[test]
    fn without_loss_there_is_no_gap_whatever_the_topics(topics in prop::collection::vec(0u8..4, 1..60)) {
        let model = run(&topics, &vec![(0, false, false); topics.len()]);
        prop_assert!(model.gaps.is_empty());
        prop_assert_eq!(model.out.len(), topics.len());
    }
}
