//! One agent: its conduct, the sockets that it has, and what it does of itself. It does what its conduct says, writes
//! down what it asks and hears, and decides nothing.

use super::{
    board::Standing,
    chance::Chance,
    conduct::{Conduct, Deed, Effect, Input, Millis, News, ServerId},
    diary::Diary,
    line::{Heard, Line, Request},
    mischief::Whims,
    world::{Phase, World},
};
use presence_api::{
    frames::Resume,
    history::{Act, Key},
};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// How long the server may take to say good-bye.
const GOOD_BYE_WITHIN: Millis = 5_000;
/// Where there is no server at all, the list is looked at again after this.
const NO_SERVER: Millis = 100;

pub(super) struct Agent {
    pub(super) world: Arc<World>,
    pub(super) index: usize,
    /// Its label, and its name in the history.
    pub(super) actor: String,
    pub(super) key: Key,
    pub(super) conduct: Conduct,
    chance: Chance,
    whims: Whims,
    pub(super) lines: [Option<Rope>; 2],
    /// When it begins, until it has.
    begins: Option<Millis>,
    /// Since when it has no socket although it wants one.
    pub(super) out_since: Option<i64>,
    /// The server that its last socket broke on.
    pub(super) lost_at: Option<ServerId>,
    pub(super) was_told: bool,
    pub(super) been_in: bool,
    pub(super) diary: Option<Diary>,
}

/// A line, and until when something must have happened on it.
pub(super) struct Rope {
    pub(super) line: Line,
    pub(super) deadline: Option<Millis>,
    /// When anything came last, be it a ping.
    pub(super) heard: Millis,
    /// Since when it is not read, and until when.
    pub(super) stall: Option<(i64, Millis)>,
    /// The server that holds the agent, and did not let go of it before this was opened: a contest.
    pub(super) owner: Option<ServerId>,
}

impl Agent {
    pub(super) fn new(world: &Arc<World>, index: usize) -> Self {
        let plan = &world.plan;
        let mut chance = Chance::new(plan.seed, u64::try_from(index).unwrap_or(0));
        let key = Key { agent_id: world.agent_id(index), classroom_id: world.classroom(index) };
        let returns = !chance.happens(plan.mischief.no_return);
        let begins = plan.connect_rate.map_or(0.0, |rate| index_f64(index) / rate * 1000.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the swarm's life"
        )]
        let begins = begins.clamp(0.0, 1e9) as Millis;
        Self {
            index,
            actor: world.label(index),
            conduct: Conduct::new(chance.clone(), returns),
            whims: Whims::new(plan, &mut chance),
            chance,
            lines: [None, None],
            begins: Some(begins),
            out_since: None,
            lost_at: None,
            was_told: false,
            been_in: false,
            diary: plan.diaries.then(|| Diary::new(key.agent_id.clone(), key.classroom_id.clone())),
            key,
            world: world.clone(),
        }
    }

    /// Until it is over. Dropped, it vanishes without a word.
    pub(super) async fn live(mut self) -> Option<Diary> {
        let mut phase = self.world.phase();
        let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        self.enter_phase(*phase.borrow_and_update());
        while self.begins.is_some() || !self.conduct.is_over() {
            let due = self.due();
            set(&mut timer, due.map(|due| self.world.clock.moment(due)));
            tokio::select! {
                biased;
                changed = phase.changed() => match changed {
                    Ok(()) => {
                        let now = *phase.borrow_and_update();
                        self.enter_phase(now);
                    }
                    // Nobody is left who could want anything.
                    Err(_) => break,
                },
                () = &mut timer, if due.is_some() => self.look_at_the_time(),
                (place, heard) = poll_fn(|cx| poll_lines(&mut self.lines, cx, &self.world, &self.key.classroom_id)) => {
                    self.hear_all(place, heard);
                }
            }
        }
        self.diary.take()
    }

    fn enter_phase(&mut self, phase: Phase) {
        let now = self.now();
        self.whims.enter_phase(phase, now);
        if phase == Phase::Stop {
            self.begins = None;
            if self.conduct.is_in()
                && let Some(diary) = &mut self.diary
            {
                diary.settle(self.world.settled());
            }
            self.take(Input::Do(Deed::Stop));
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.world.clock.millis()
    }

    /// The next moment at which anything is to be done.
    fn due(&self) -> Option<Millis> {
        let lines = self
            .lines
            .iter()
            .flatten()
            .flat_map(|rope| [rope.deadline, rope.stall.map(|(_, until)| until), self.silent_at(rope)]);
        [self.begins, self.conduct.due(), self.whims.due()].into_iter().chain(lines).flatten().min()
    }

    fn look_at_the_time(&mut self) {
        let now = self.now();
        if self.begins.is_some_and(|begins| begins <= now) {
            self.begins = None;
            let deed = if self.world.plan.twice { Deed::EnterTwice } else { Deed::Enter };
            self.take(Input::Do(deed));
        }
        for place in 0..self.lines.len() {
            self.look_at_line(place, now);
        }
        if self.conduct.due().is_some_and(|due| due <= now) {
            self.take(Input::Due);
        }
        if let Some(deed) = self.whims.next(now, &mut self.chance) {
            self.do_of_itself(deed);
        }
    }

    fn look_at_line(&mut self, place: usize, now: Millis) {
        let Some(rope) = &mut self.lines[place] else { return };
        if rope.stall.is_some_and(|(_, until)| until <= now) {
            let stall = rope.stall.take();
            rope.line.stalled = false;
            rope.heard = now;
            self.record_stall(stall);
        }
        let Some(rope) = &self.lines[place] else { return };
        if rope.deadline.is_some_and(|deadline| deadline <= now) {
            self.hear_all(place, vec![Heard::Broken("no answer in time".into())]);
        } else if self.silent_at(rope).is_some_and(|silent| silent <= now) {
            self.hear_all(place, vec![Heard::Broken("not even a ping for too long".into())]);
        }
    }

    /// When a line is given up, because not even a ping came: the other side may be gone without a word.
    fn silent_at(&self, rope: &Rope) -> Option<Millis> {
        let silence = Millis::try_from(self.world.plan.silence.as_millis()).unwrap_or(Millis::MAX);
        let is_read = rope.line.answered && rope.stall.is_none();
        is_read.then(|| rope.heard.saturating_add(silence))
    }

    /// A whim is counted if it could be followed.
    fn do_of_itself(&mut self, deed: Deed) {
        let effects = self.take(Input::Do(deed));
        if effects > 0 {
            let counts = &mut self.world.board().counts;
            match deed {
                Deed::Leave { .. } => counts.left += 1,
                Deed::Vanish { .. } => counts.vanished += 1,
                Deed::Reload { .. } => counts.reloaded += 1,
                Deed::Double => counts.doubled += 1,
                Deed::Enter | Deed::EnterTwice | Deed::Stop => {}
            }
        }
    }

    /// One step of conduct. Returns how much there was to do.
    pub(super) fn take(&mut self, input: Input) -> usize {
        let (before, held) = (self.standing(), self.conduct.held());
        let now = self.now();
        if matches!(input, Input::Due) && self.conduct.sockets() == 2 && self.conduct.is_in() {
            let race =
                self.lines.iter().flatten().all(|rope| rope.line.answered && rope.line.closing.is_none());
            self.world.board().counts.unsettled += u64::from(race);
        }
        let effects = self.conduct.step(now, input);
        let count = effects.len();
        for effect in effects {
            match effect {
                Effect::Open { socket, resume, avoid } => self.open(socket, resume, avoid),
                Effect::Close(socket) => self.close(socket),
                Effect::Drop(socket) => self.drop_line(socket),
            }
        }
        let after = self.standing();
        let mut board = self.world.board();
        board.change(before, after);
        board.hold(held, self.conduct.held());
        drop(board);
        count
    }

    fn standing(&self) -> Standing {
        match (self.conduct.is_in(), self.conduct.is_told()) {
            (true, true) => Standing::Told,
            (true, false) => Standing::Connected,
            (false, _) if self.conduct.is_done() => Standing::Done,
            (false, _) if self.conduct.has_begun() => Standing::Connecting,
            (false, _) => Standing::Waiting,
        }
    }

    fn open(&mut self, socket: u64, resume: Option<Resume>, avoid: Option<ServerId>) {
        let first = socket == 0 && avoid.is_none();
        let servers = &self.world.servers;
        let chosen = if first { servers.turn(self.index) } else { servers.choose(&mut self.chance, avoid) };
        let Some(server) = chosen else {
            // As if nobody had answered: it is tried again after a pause.
            self.conduct.step(self.now() + NO_SERVER, Input::On(socket, News::Ended { code: None }));
            return;
        };
        self.conduct.placed(socket, server.0);
        let guise = self.world.guise(self.index);
        let request = Request {
            label: self.actor.clone(),
            classroom: self.key.classroom_id.clone(),
            token: self.world.token_of(guise.as_ref()),
            resume,
            guise,
        };
        let line = Line::open(socket, server, request, &self.world);
        let holder =
            self.lines.iter().flatten().find(|rope| rope.line.answered && rope.line.closing.is_none());
        let held_by = holder.filter(|_| !self.was_told).map(|rope| rope.line.server);
        let owner = held_by.or(self.lost_at.take());
        let place = self.lines.iter_mut().find(|place| place.is_none());
        let place = place.expect("conduct has two slots, and so have the lines");
        // Until it has asked, the line itself bounds what it takes.
        *place = Some(Rope { line, deadline: None, heard: 0, stall: None, owner });
    }

    fn close(&mut self, socket: u64) {
        let (now, wall) = (self.now(), self.world.clock.now());
        let Some(place) = self.place(socket) else { return };
        let Some(rope) = &mut self.lines[place] else { return };
        let stall = rope.stall.take();
        let said = rope.line.say_good_bye(wall);
        rope.deadline = Some(now + GOOD_BYE_WITHIN);
        self.record_stall(stall);
        if !said {
            self.hear_all(place, vec![Heard::Broken("could not say good-bye".into())]);
        }
    }

    /// Without a word.
    fn drop_line(&mut self, socket: u64) {
        if let Some(place) = self.place(socket) {
            self.record_end(place, None, "given up by its agent");
            self.lines[place] = None;
        }
    }

    pub(super) fn place(&self, socket: u64) -> Option<usize> {
        let is_it = |rope: &Option<Rope>| rope.as_ref().is_some_and(|rope| rope.line.number == socket);
        self.lines.iter().position(is_it)
    }

    pub(super) fn record(&self, began: i64, at: i64, act: impl FnOnce() -> Act) {
        self.world.record(&self.actor, (began, at), act);
    }

    pub(super) fn record_stall(&self, stall: Option<(i64, Millis)>) {
        if let Some((since, _)) = stall {
            let whom = self.actor.clone();
            self.record(since, self.world.clock.now(), || Act::Fault { what: "stall".into(), whom });
        }
    }

    pub(super) const fn reads_badly(&self) -> bool {
        self.whims.is_a_bad_reader()
    }

    /// Whether it stops reading what it has just come in on.
    pub(super) fn stalls(&self) -> Option<(i64, Millis)> {
        let stall = Millis::try_from(self.world.plan.mischief.stall.as_millis()).unwrap_or(Millis::MAX);
        self.whims.reads_badly().then(|| (self.world.clock.now(), self.now().saturating_add(stall)))
    }
}

impl Drop for Agent {
    /// Dropped in the middle of its life, it has broken every connection that it had.
    fn drop(&mut self) {
        for place in 0..self.lines.len() {
            let stall = self.lines[place].as_mut().and_then(|rope| rope.stall.take());
            self.record_stall(stall);
            self.record_end(place, None, "given up by its agent");
        }
    }
}

/// What came on the first line that has anything.
fn poll_lines(
    lines: &mut [Option<Rope>; 2],
    cx: &mut Context<'_>,
    world: &World,
    classroom: &str,
) -> Poll<(usize, Vec<Heard>)> {
    for (place, rope) in lines.iter_mut().enumerate() {
        let Some(rope) = rope else { continue };
        if let Poll::Ready(heard) = rope.line.poll(cx, &mut world.buffer(), classroom) {
            return Poll::Ready((place, heard));
        }
    }
    Poll::Pending
}

fn set(timer: &mut Pin<Box<Sleep>>, moment: Option<tokio::time::Instant>) {
    if let Some(moment) = moment.filter(|moment| *moment != timer.deadline()) {
        timer.as_mut().reset(moment);
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are at most 50,000 agents")]
fn index_f64(index: usize) -> f64 {
    index as f64
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
