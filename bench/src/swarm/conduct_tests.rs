//! One agent's conduct: by example, and against a server that does whatever it likes.

use super::*;
use proptest::prelude::*;

const IN: News = News::Entered { session_id: 1, seq: 10, resumed: false };

fn agent(returns: bool) -> Conduct {
    Conduct::new(Chance::new(1, 1), returns)
}

/// An agent that is in, on socket 0 of server 0.
fn present(returns: bool) -> Conduct {
    let mut agent = agent(returns);
    assert_eq!(agent.step(0, Input::Do(Deed::Enter)), [opened(0, None, None)]);
    agent.placed(0, 0);
    assert_eq!(agent.step(5, Input::On(0, IN)), []);
    assert!(agent.is_in());
    agent
}

fn opened(socket: u64, resume: Option<(i64, u64)>, avoid: Option<ServerId>) -> Effect {
    let resume = resume.map(|(session_id, last_seq)| Resume { session_id, last_seq });
    Effect::Open { socket, resume, avoid }
}

#[test]
fn told_to_go_it_makes_before_it_breaks() {
    let mut agent = present(true);
    assert_eq!(agent.step(100, Input::On(0, News::Terminated { after: 400 })), []);
    assert_eq!(agent.due(), Some(500));
    assert!(agent.hear(12), "the old socket still delivers");
    assert_eq!(agent.step(499, Input::Due), []);
    assert_eq!(agent.step(500, Input::Due), [opened(1, Some((1, 12)), Some(0))]);
    assert!(agent.is_in() && agent.is_told());
    assert!(agent.hear(13));
    let welcome = News::Entered { session_id: 1, seq: 13, resumed: true };
    assert_eq!(agent.step(510, Input::On(1, welcome)), [Effect::Close(0)]);
    assert!(!agent.hear(13), "the new socket brings it again");
    assert!(agent.hear(14));
    assert_eq!(agent.step(520, Input::On(0, News::Ended { code: Some(1000) })), []);
    assert!(agent.is_in() && !agent.is_told());
    assert_eq!((agent.sockets(), agent.due()), (1, None));
}

#[test]
fn a_successor_that_fails_is_tried_again_while_the_old_socket_lives() {
    let mut agent = present(true);
    agent.step(100, Input::On(0, News::Terminated { after: 0 }));
    agent.step(100, Input::Due);
    agent.placed(1, 7);
    agent.step(200, Input::On(1, News::Error { after: Some(1_000) }));
    agent.step(200, Input::On(1, News::Ended { code: Some(4004) }));
    assert_eq!(agent.due(), Some(1_200), "not before the server wants it");
    assert_eq!(agent.step(1_200, Input::Due), [opened(2, Some((1, 10)), Some(7))]);
    assert!(agent.is_in());
}

#[test]
fn a_loss_is_followed_by_a_resume_elsewhere() {
    let mut agent = present(true);
    agent.hear(11);
    agent.step(100, Input::On(0, News::Ended { code: None }));
    assert!(!agent.is_in());
    let due = agent.due().unwrap();
    assert!((100..=200).contains(&due), "{due}");
    assert_eq!(agent.step(due, Input::Due), [opened(1, Some((1, 11)), Some(0))]);
}

#[test]
fn a_resume_whose_events_have_not_come_yet_does_not_skip_them() {
    let mut agent = present(true);
    agent.step(100, Input::On(0, News::Ended { code: None }));
    agent.step(300, Input::Due);
    agent.step(310, Input::On(1, News::Entered { session_id: 1, seq: 50, resumed: true }));
    agent.hear(11);
    agent.step(320, Input::On(1, News::Ended { code: None }));
    let due = agent.due().unwrap();
    assert_eq!(agent.step(due, Input::Due), [opened(2, Some((1, 11)), Some(0))]);
}

#[test]
fn after_a_resync_it_knows_the_state_that_it_was_given() {
    let mut agent = present(true);
    agent.step(20, Input::On(0, News::Resync { seq: 40 }));
    agent.step(30, Input::On(0, News::Ended { code: Some(4003) }));
    let due = agent.due().unwrap();
    assert_eq!(agent.step(due, Input::Due), [opened(1, Some((1, 40)), Some(0))]);
}

#[test]
fn replaced_by_somebody_else_it_stops() {
    for code in [4506, 4502, 4503, 1002, 1008] {
        let mut agent = present(true);
        agent.step(100, Input::On(0, News::Ended { code: Some(code) }));
        assert!(agent.is_over(), "{code}");
        assert_eq!(agent.due(), None);
    }
}

#[test]
fn of_a_race_the_survivor_stays_whichever_it_is() {
    for loser in [0, 1] {
        let mut agent = agent(true);
        let effects = agent.step(0, Input::Do(Deed::EnterTwice));
        assert_eq!(effects, [opened(0, None, None), opened(1, None, None)]);
        agent.step(5, Input::On(0, IN));
        agent.step(6, Input::On(1, News::Entered { session_id: 2, seq: 11, resumed: false }));
        agent.step(9, Input::On(loser, News::Ended { code: Some(4506) }));
        assert!(agent.is_in() && !agent.is_over(), "{loser}");
        agent.step(10, Input::On(1 - loser, News::Ended { code: None }));
        let due = agent.due().unwrap();
        let survivor = if loser == 0 { 2 } else { 1 };
        assert_eq!(agent.step(due, Input::Due), [opened(2, Some((survivor, 11)), None)]);
    }
}

#[test]
fn a_race_that_nobody_settles_ends_with_the_older_socket() {
    let mut agent = present(true);
    assert_eq!(agent.step(10, Input::Do(Deed::Double)), [opened(1, None, None)]);
    agent.step(20, Input::On(1, News::Entered { session_id: 2, seq: 11, resumed: false }));
    assert_eq!(agent.due(), Some(20 + RACE));
    assert_eq!(agent.step(20 + RACE, Input::Due), [Effect::Close(0)]);
    assert!(agent.is_in());
}

#[test]
fn who_does_not_return_stays_to_the_end_and_goes_for_good() {
    let mut agent = present(false);
    agent.step(10, Input::On(0, News::Terminated { after: 0 }));
    assert_eq!(agent.due(), None);
    agent.step(20, Input::On(0, News::Ended { code: Some(4001) }));
    assert!(agent.is_over());
    let mut newcomer = Conduct::new(Chance::new(1, 1), false);
    newcomer.step(0, Input::Do(Deed::Enter));
    newcomer.step(5, Input::On(0, News::Ended { code: None }));
    assert!(newcomer.due().is_some(), "it was not in yet");
}

#[test]
fn a_page_that_reloads_has_its_next_socket_in_the_same_moment() {
    let mut agent = present(true);
    let effects = agent.step(10, Input::Do(Deed::Reload { remembers: false }));
    assert_eq!(effects, [Effect::Close(0), opened(1, None, None)]);
    let mut agent = present(true);
    let effects = agent.step(10, Input::Do(Deed::Reload { remembers: true }));
    assert_eq!(effects, [Effect::Close(0), opened(1, Some((1, 10)), None)]);
}

#[test]
fn a_third_socket_costs_the_one_that_only_says_good_bye() {
    let mut agent = present(true);
    agent.step(10, Input::Do(Deed::Reload { remembers: true }));
    agent.step(20, Input::On(1, News::Entered { session_id: 2, seq: 11, resumed: false }));
    let effects = agent.step(30, Input::Do(Deed::Double));
    assert_eq!(effects, [Effect::Drop(0), opened(2, None, None)]);
}

#[test]
fn whoever_leaves_comes_back_as_a_stranger_and_whoever_vanishes_resumes() {
    let mut agent = present(true);
    assert_eq!(agent.step(10, Input::Do(Deed::Leave { pause: 90 })), [Effect::Close(0)]);
    assert_eq!(agent.step(100, Input::Due), [opened(1, None, None)]);
    let mut agent = present(true);
    assert_eq!(agent.step(10, Input::Do(Deed::Vanish { pause: 90 })), [Effect::Drop(0)]);
    assert_eq!(agent.step(100, Input::Due), [opened(1, Some((1, 10)), None)]);
}

#[test]
fn stopped_it_closes_what_it_has_and_opens_nothing() {
    let mut agent = present(true);
    assert_eq!(agent.step(10, Input::Do(Deed::Stop)), [Effect::Close(0)]);
    assert_eq!((agent.due(), agent.is_over()), (None, false));
    agent.step(20, Input::On(0, News::Ended { code: Some(1000) }));
    assert!(agent.is_over());
    assert_eq!(agent.step(30, Input::Do(Deed::Enter)), []);
}

#[derive(Debug, Clone)]
enum Move {
    News(u64, News),
    Do(Deed),
    Event(u64),
    Due,
}

fn a_move() -> impl Strategy<Value = Move> {
    let code = prop::option::of(prop::sample::select(vec![4000, 4001, 4003, 4004, 4506, 4502, 1000, 1001]));
    let after = 0_u64..100_000;
    let news = prop_oneof![
        4 => (1_i64..50, 0_u64..500, any::<bool>())
            .prop_map(|(session_id, seq, resumed)| News::Entered { session_id, seq, resumed }),
        1 => (0_u64..500).prop_map(|seq| News::Resync { seq }),
        2 => after.clone().prop_map(|after| News::Terminated { after }),
        1 => prop::option::of(after).prop_map(|after| News::Error { after }),
        2 => code.prop_map(|code| News::Ended { code }),
    ];
    let deed = prop_oneof![
        Just(Deed::Enter),
        Just(Deed::EnterTwice),
        Just(Deed::Leave { pause: 500 }),
        any::<bool>().prop_map(|remembers| Deed::Reload { remembers }),
        Just(Deed::Vanish { pause: 500 }),
        Just(Deed::Double),
    ];
    prop_oneof![
        // Which socket: counted back from the newest, so that most are there.
        6 => (0_u64..3, news).prop_map(|(back, news)| Move::News(back, news)),
        2 => deed.prop_map(Move::Do),
        3 => (0_u64..500).prop_map(Move::Event),
        3 => Just(Move::Due),
    ]
}

/// What is true from outside: which sockets are there, and which session each has.
#[derive(Default)]
struct Outside {
    there: Vec<u64>,
    opened: u64,
    highest: u64,
    sessions: Vec<i64>,
}

impl Outside {
    fn apply(&mut self, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::Drop(socket) => self.there.retain(|there| *there != socket),
                Effect::Close(socket) => assert!(self.there.contains(&socket)),
                Effect::Open { socket, resume, .. } => {
                    assert_eq!(socket, self.opened, "sockets are numbered one by one");
                    self.opened += 1;
                    self.there.push(socket);
                    if let Some(resume) = resume {
                        assert!(self.sessions.contains(&resume.session_id), "{resume:?}");
                        assert!(resume.last_seq <= self.highest, "{resume:?}");
                    }
                }
            }
            assert!(self.there.len() <= 2, "never more than two sockets: {:?}", self.there);
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_server_does_there_are_never_more_than_two_sockets(
        moves in prop::collection::vec((0_u64..3_000, a_move()), 0..80),
        seed: u64,
        returns: bool,
    ) {
        let (mut agent, mut outside, mut now) = (Conduct::new(Chance::new(seed, 0), returns), Outside::default(), 0);
        outside.apply(&agent.step(0, Input::Do(Deed::Enter)));
        for (pause, one) in moves {
            now += pause;
            let effects = match one {
                Move::Due => {
                    now = now.max(agent.due().unwrap_or(now));
                    agent.step(now, Input::Due)
                }
                Move::Do(deed) => agent.step(now, Input::Do(deed)),
                Move::Event(seq) => {
                    outside.highest = outside.highest.max(seq);
                    agent.hear(seq);
                    vec![]
                }
                Move::News(back, news) => {
                    let socket = outside.opened.saturating_sub(1 + back);
                    if let News::Entered { session_id, seq, .. } = news {
                        outside.sessions.push(session_id);
                        outside.highest = outside.highest.max(seq);
                    }
                    if let News::Resync { seq } = news {
                        outside.highest = outside.highest.max(seq);
                    }
                    if let News::Ended { .. } = news {
                        outside.there.retain(|there| *there != socket);
                    }
                    agent.step(now, Input::On(socket, news))
                }
            };
            outside.apply(&effects);
            prop_assert_eq!(agent.sockets(), outside.there.len());
            // Whoever wants to be in and has nothing will try, and in bounded time.
            if !agent.is_done() && agent.sockets() == 0 {
                prop_assert!(agent.due().is_some_and(|due| due <= now + LONGEST_AFTER));
            }
        }
        outside.apply(&agent.step(now, Input::Do(Deed::Stop)));
        prop_assert_eq!(agent.due(), None);
    }

    #[test]
    fn a_pause_is_within_its_bounds_and_never_before_the_server_wants_it(
        after in prop::option::of(0_u64..100_000),
        losses in 0_u32..40,
        seed: u64,
    ) {
        let mut agent = Conduct::new(Chance::new(seed, 0), true);
        agent.step(0, Input::Do(Deed::Enter));
        for socket in 0..u64::from(losses) {
            agent.step(0, Input::On(socket, News::Ended { code: None }));
            agent.step(u64::MAX, Input::Due);
        }
        let (now, last) = (1_000_000, u64::from(losses));
        agent.step(now, Input::On(last, News::Error { after }));
        agent.step(now, Input::On(last, News::Ended { code: Some(4004) }));
        let pause = agent.due().unwrap() - now;
        let asked = after.unwrap_or(0).min(LONGEST_AFTER);
        let most = (BASE << losses.min(16)).min(CAP);
        prop_assert!(pause >= asked && pause <= asked.max(most), "{} of {} and {}", pause, asked, most);
    }
}
