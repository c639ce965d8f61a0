//! What all agents of a swarm share: servers, token, clock, history, counts, and the phase that they are in.

use super::{app::Guise, board::Board, clock::Clock, directory::Directory, recorder::Recorder, token::Purse};
use crate::mint::Mint;
use presence_api::history::{Act, Entry};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

/// One read may bring this much.
const BUFFER: usize = 64 * 1024;

/// What a swarm does, and how long things may take.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The first part of all its agents' labels and classrooms: swarms of different names do not meet.
    pub(crate) name: String,
    pub(crate) agents: usize,
    pub(crate) classrooms: usize,
    pub(crate) seed: u64,
    /// Agents that begin per second; none: all at once.
    pub(crate) connect_rate: Option<f64>,
    pub(crate) in_flight: usize,
    pub(crate) answer_within: Duration,
    /// A socket on which not even a ping came for so long is given up.
    pub(crate) silence: Duration,
    pub(crate) mischief: Mischief,
    /// Agents begin with two sockets at once.
    pub(crate) twice: bool,
    /// Over how long the second sockets of `Phase::Race` are spread.
    pub(crate) race_over: Duration,
    /// For `diary.rs`.
    pub(crate) diaries: bool,
    /// How many of the agents are classroom apps: the last ones. Every fourth of them is a teacher.
    pub(crate) apps: usize,
}

impl Plan {
    /// Agents that only come in and stay.
    pub(crate) fn of(name: &str, agents: usize, classrooms: usize) -> Self {
        Self {
            name: name.to_owned(),
            agents,
            classrooms: classrooms.clamp(1, agents.max(1)),
            seed: 1,
            connect_rate: None,
            in_flight: 1_000,
            answer_within: Duration::from_secs(10),
            // The server pings every 30 s.
            silence: Duration::from_secs(45),
            mischief: Mischief::default(),
            twice: false,
            race_over: Duration::ZERO,
            diaries: false,
            apps: 0,
        }
    }
}

/// What agents do of themselves: fractions of all agents, the first four per minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Mischief {
    pub(crate) churn: f64,
    pub(crate) vanish: f64,
    pub(crate) reload: f64,
    pub(crate) double: f64,
    /// Never come back when they are told to go, or lost.
    pub(crate) no_return: f64,
    /// Do not read, for so long each time that they have come in.
    pub(crate) stop_reading: f64,
    pub(crate) stall: Duration,
    /// The longest that one who left or vanished stays away.
    pub(crate) away: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everybody comes in; nobody does anything of itself.
    Entering,
    /// Agents do what `Mischief` says.
    Wild,
    /// Each opens a second socket, once, within `Plan::race_over`.
    Race,
    /// They do nothing any more.
    Calm,
    /// They close everything.
    Stop,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) clock: Clock,
    pub(crate) servers: Directory,
    pub(crate) purse: Purse,
    /// Where there are apps: each has a token of its own.
    mint: Option<Mint>,
    pub(crate) turns: Arc<Semaphore>,
    recorder: Option<Recorder>,
    board: Mutex<Board>,
    /// What a socket is read into. One thread runs all agents, so nobody waits for it.
    buffer: Mutex<Box<[u8]>>,
    phase: watch::Sender<Phase>,
    /// Where the stream ended when everything was quiet; 0: that is not known.
    settled: AtomicU64,
}

impl World {
    pub(crate) fn new(plan: Plan, servers: Directory, purse: Purse, recorder: Option<Recorder>) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(plan.in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            plan,
            clock: Clock::start(),
            servers,
            purse,
            mint: None,
            recorder,
            board: Mutex::default(),
            buffer: Mutex::new(vec![0; BUFFER].into_boxed_slice()),
            phase: watch::Sender::new(Phase::Entering),
            settled: AtomicU64::new(0),
        }
    }

    /// Its apps' tokens are made by this mint.
    pub(crate) fn with_mint(self, mint: Mint) -> Self {
        Self { mint: Some(mint), ..self }
    }

    /// Whom this agent is at the Socket.IO door; none: it is a native one.
    pub(crate) fn guise(&self, index: usize) -> Option<Guise> {
        let number = (index + self.plan.apps).checked_sub(self.plan.agents)?;
        let role = if number % 4 == 0 { "teacher" } else { "student" };
        Some(Guise { user: self.label(index), role, lesson: self.classroom(index) })
    }

    /// The token that it shows. One that cannot be made is refused by the server, which says so.
    pub(crate) fn token_of(&self, guise: Option<&Guise>) -> Arc<str> {
        let own = guise.zip(self.mint.as_ref());
        let made =
            own.and_then(|(guise, mint)| mint.at(self.clock.now() / 1_000_000, &guise.user, guise.role).ok());
        made.unwrap_or_else(|| self.purse.token().text)
    }

    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn buffer(&self) -> MutexGuard<'_, Box<[u8]>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    pub(crate) fn record(&self, actor: &str, (began, at): (i64, i64), act: impl FnOnce() -> Act) {
        if let Some(recorder) = &self.recorder {
            recorder.write(&Entry { began, at, actor: actor.to_owned(), act: act() });
        }
    }

    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Phases only go forward.
    pub(crate) fn go_on(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            *phase = to.max(*phase);
            later
        });
    }

    pub(crate) fn settle(&self, seq: u64) {
        self.settled.store(seq, Ordering::Relaxed);
    }

    pub(crate) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    /// How an agent is called: the first part of its id, and its name in the history.
    pub(crate) fn label(&self, index: usize) -> String {
        format!("{}-{index}", self.plan.name)
    }

    pub(crate) fn classroom(&self, index: usize) -> String {
        format!("{}-{}", self.plan.name, index % self.plan.classrooms.max(1))
    }

    pub(crate) fn agent_id(&self, index: usize) -> String {
        let (token, label) = (self.purse.token(), self.label(index));
        if self.guise(index).is_some() { token.app_id(&label) } else { token.agent_id(&label) }
    }
}
