//! One client for the whole of its life: it enters, stays, moves, is lost, comes back, and does as its manner says.
//!
//! It keeps the client's side of the protocol: it resumes with what it knows, connects elsewhere before it closes here
//! when told `terminated`, backs off by chance, honours `reconnect_after_ms`, and does not come back when told not to.

use super::{
    Deed, Manner, Order, Place, World, agent_id,
    app::Guise,
    chance::Chance,
    entering::{Attempt, Entering, resume},
    wire::{Heard, Wire},
};
use crate::tokens::request;
use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use presence_api::{
    frames::{ConnectRequest, Connected, Resume, SessionError},
    history::Key,
};
use presence_core::close::Reason;
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

const FIRST_BACKOFF_MS: u64 = 100;
const LONGEST_BACKOFF_MS: u64 = 1_600;
/// How long an old socket is heard out after its successor is in, or after it said good-bye.
const HEARD_OUT: Duration = Duration::from_secs(6);

#[derive(Debug)]
pub(super) struct Member {
    pub(super) actor: String,
    pub(super) account: String,
    pub(super) classroom: String,
    pub(super) token: String,
    /// Where it is a classroom app.
    pub(super) guise: Option<Guise>,
    pub(super) world: World,
    pub(super) manner: Manner,
    pub(super) chance: Chance,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) place: watch::Sender<Place>,
    pub(super) knows: Option<Resume>,
    pub(super) sockets: u64,
    /// The replica that it tried or had last.
    pub(super) last: Option<usize>,
    pub(super) failures: u32,
    /// How often it asked and does not know what came of it: whoever replaces it next may have been itself.
    pub(super) doubts: u32,
    /// Sockets that are heard out.
    pub(super) parting: JoinSet<()>,
}

/// How a stay on one socket ended.
enum Next {
    /// On another socket.
    On(Box<Wire>),
    /// Come back, after this long.
    Back(Duration),
    Over(String),
}

/// What stirs a client.
enum Stir {
    Order(Option<Order>),
    Restless,
    Moving,
    Entered(Entering),
    Heard(Heard),
}

/// What else a client is at while it stays.
struct Stay {
    reads: bool,
    restless_at: Option<Instant>,
    /// When to connect elsewhere.
    move_at: Option<Instant>,
    moving: Option<BoxFuture<'static, Entering>>,
    /// The words that came before the close.
    told: Option<SessionError>,
}

impl Member {
    pub(super) async fn run(mut self) {
        let mut next = Next::Back(Duration::ZERO);
        let why = loop {
            next = match next {
                Next::On(wire) => self.stay(wire).await,
                Next::Back(after) => self.come_in(after).await,
                Next::Over(why) => break why,
            };
        };
        self.place.send_replace(Place::Over(why));
        while self.parting.join_next().await.is_some() {}
    }

    /// Tries until it is in, or there is no use in it.
    async fn come_in(&mut self, after: Duration) -> Next {
        self.place.send_replace(Place::Away);
        let mut wait = after;
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::Leave | Order::Vanish) | None => return Next::Over("left".into()),
                    Some(Order::Break | Order::StopReading | Order::Read) => {}
                },
                () = sleep(wait) => {
                    let attempt = self.attempt(self.knows);
                    match attempt.run().await {
                        Entering::In(wire, connected) => return self.welcomed(wire, &connected),
                        Entering::Refused(error) if !self.comes_back(&error) => return Next::Over(error.kind),
                        Entering::Refused(error) => wait = self.put_off(&error),
                        Entering::Unknown => wait = self.unsure(),
                    }
                }
            }
        }
    }

    /// Nobody answered, so nobody knows.
    fn unsure(&mut self) -> Duration {
        self.doubts += 1;
        self.backoff(None)
    }

    /// Refused for now. A store that did not answer may have taken it all the same.
    fn put_off(&mut self, error: &SessionError) -> Duration {
        self.doubts += u32::from(error.kind == Reason::Overloaded.row().name);
        self.backoff(error.reconnect_after_ms)
    }

    /// Whether to try again after this. `replaced` is final, unless it was perhaps by an attempt of its own of which it
    /// does not know what came of it.
    fn comes_back(&mut self, error: &SessionError) -> bool {
        if again(error) {
            return true;
        }
        let by_itself = error.kind == Reason::Replaced.row().name && self.doubts > 0;
        self.doubts -= u32::from(by_itself);
        by_itself
    }

    /// An attempt at another replica than the last one, where there is one.
    fn attempt(&mut self, resume: Option<Resume>) -> Attempt {
        let (at, to) = self.world.targets.other_than(self.last, &mut self.chance);
        self.last = Some(at);
        self.sockets += 1;
        let request = ConnectRequest { resume, ..request(&self.classroom, &self.token) };
        let agent_id = agent_id(&self.account, self.guise.is_some());
        let key = Key { agent_id, classroom_id: self.classroom.clone() };
        let (actor, history) = (self.actor.clone(), self.world.history.clone());
        let (guise, silence) = (self.guise.clone(), self.manner.silence);
        Attempt { to, socket: self.sockets, actor, key, request, guise, silence, history }
    }

    /// Full jitter, above what the server asks for.
    fn backoff(&mut self, asked: Option<u64>) -> Duration {
        let full = (FIRST_BACKOFF_MS << self.failures.min(5)).min(LONGEST_BACKOFF_MS);
        self.failures += 1;
        Duration::from_millis(asked.unwrap_or(0) + self.chance.below(full))
    }

    fn welcomed(&mut self, wire: Box<Wire>, connected: &Connected) -> Next {
        self.failures = 0;
        // Resumed: what was missed follows, so the position stays what it was.
        let before = self.knows.map_or(0, |knows| knows.last_seq);
        let position = if connected.resumed { before } else { connected.snapshot.seq };
        self.knows = Some(resume(connected.session_id, position));
        let (session_id, replica) = (connected.session_id, connected.replica.clone());
        self.place.send_replace(Place::Inside { session_id, replica, heard: position });
        Next::On(wire)
    }

    async fn stay(&mut self, mut wire: Box<Wire>) -> Next {
        let mut stay = Stay { reads: true, restless_at: None, move_at: None, moving: None, told: None };
        self.rest(&mut stay);
        loop {
            let next = match self.stir(&mut wire, &mut stay).await {
                Stir::Heard(heard) => self.heard(heard, &mut stay),
                Stir::Order(Some(order @ (Order::StopReading | Order::Read))) => {
                    stay.reads = order == Order::Read;
                    None
                }
                Stir::Order(Some(Order::Break)) => {
                    wire.vanish();
                    return Next::Back(self.backoff(None));
                }
                Stir::Order(Some(Order::Leave) | None) => {
                    self.part(wire).await;
                    return Next::Over("left".into());
                }
                Stir::Order(Some(Order::Vanish)) => {
                    wire.vanish();
                    return Next::Over("left".into());
                }
                Stir::Restless if *self.world.calm.borrow() => {
                    stay.restless_at = None;
                    None
                }
                // It is busy moving.
                Stir::Restless if stay.moving.is_some() => {
                    self.rest(&mut stay);
                    None
                }
                Stir::Restless => return self.act(wire).await,
                Stir::Moving => {
                    stay.move_at = None;
                    stay.moving = Some(self.attempt(self.knows).run().boxed());
                    None
                }
                Stir::Entered(Entering::In(new, connected)) => {
                    self.part(wire).await;
                    return self.welcomed(new, &connected);
                }
                Stir::Entered(Entering::Refused(error)) if !self.comes_back(&error) => {
                    self.part(wire).await;
                    return Next::Over(error.kind);
                }
                Stir::Entered(other) => {
                    let wait = match other {
                        Entering::Refused(error) => self.put_off(&error),
                        _ => self.unsure(),
                    };
                    stay.moving = None;
                    stay.move_at = Some(Instant::now() + wait);
                    None
                }
            };
            if let Some(next) = next {
                return self.lost(next, stay).await;
            }
        }
    }

    async fn stir(&mut self, wire: &mut Wire, stay: &mut Stay) -> Stir {
        let (restless_at, move_at) = (stay.restless_at, stay.move_at);
        tokio::select! {
            biased;
            order = self.orders.recv() => Stir::Order(order),
            () = until(restless_at) => Stir::Restless,
            () = until(move_at) => Stir::Moving,
            Some(entered) = OptionFuture::from(stay.moving.as_mut()) => Stir::Entered(entered),
            heard = wire.hear(), if stay.reads => Stir::Heard(heard),
        }
    }

    /// What a frame means to the stay; an end of it, if it is one.
    fn heard(&mut self, heard: Heard, stay: &mut Stay) -> Option<Next> {
        match heard {
            Heard::UpTo(seq) => self.knows_up_to(|position| position.max(seq)),
            Heard::Resync(seq) => self.knows_up_to(|_| seq),
            Heard::Told(error) if error.kind == Reason::Terminated.row().name => {
                if self.manner.heeds && stay.moving.is_none() && stay.move_at.is_none() {
                    let after = Duration::from_millis(error.reconnect_after_ms.unwrap_or(0));
                    stay.move_at = Some(Instant::now() + after);
                }
                stay.told = Some(error);
            }
            Heard::Told(error) => stay.told = Some(error),
            Heard::Over(code) => {
                let told = stay.told.take();
                return Some(match (told, code) {
                    (Some(error), _) if !self.comes_back(&error) => Next::Over(error.kind),
                    (None, Some(code @ 4500..)) => Next::Over(code.to_string()),
                    // What it was told with `terminated` it has waited for already.
                    (_, Some(4001)) => Next::Back(Duration::ZERO),
                    (told, _) => Next::Back(self.backoff(told.and_then(|error| error.reconnect_after_ms))),
                });
            }
            Heard::Welcome(_) | Heard::LetIn(_) | Heard::Refused(_) | Heard::Nothing => {}
        }
        None
    }

    fn knows_up_to(&mut self, position: impl Fn(u64) -> u64) {
        if let Some(knows) = &mut self.knows {
            knows.last_seq = position(knows.last_seq);
            let seq = knows.last_seq;
            self.place.send_modify(|place| {
                if let Place::Inside { heard, .. } = place {
                    *heard = seq;
                }
            });
        }
    }

    /// The socket ended; one that is being made elsewhere is waited for.
    async fn lost(&mut self, next: Next, stay: Stay) -> Next {
        let (Next::Back(_), Some(moving)) = (&next, stay.moving) else { return next };
        match moving.await {
            Entering::In(new, connected) => self.welcomed(new, &connected),
            Entering::Refused(error) if !self.comes_back(&error) => Next::Over(error.kind),
            Entering::Refused(error) => Next::Back(self.put_off(&error)),
            Entering::Unknown => Next::Back(self.unsure()),
        }
    }

    /// Says good-bye, and hears it out beside whatever comes next.
    async fn part(&mut self, mut wire: Box<Wire>) {
        wire.part().await;
        self.parting.spawn(wire.hear_out(HEARD_OUT));
    }

    fn rest(&mut self, stay: &mut Stay) {
        if !self.manner.deeds.is_empty() {
            stay.restless_at = Some(Instant::now() + self.chance.millis(&self.manner.every));
        }
    }

    /// Does one of the things that clients do.
    async fn act(&mut self, wire: Box<Wire>) -> Next {
        match *self.chance.one_of(self.manner.deeds) {
            // A page that is loaded anew remembers nothing, and its old socket closes while the new one opens.
            Deed::Reload => {
                self.part(wire).await;
                self.knows = None;
                Next::Back(Duration::from_millis(1))
            }
            Deed::Vanish => {
                wire.vanish();
                Next::Back(self.chance.millis(&(0..700)))
            }
            Deed::Return => {
                self.part(wire).await;
                while self.parting.join_next().await.is_some() {}
                self.knows = None;
                Next::Back(self.chance.millis(&(0..800)))
            }
            // A second tab: it takes over, and the first one is to be told. If nobody knows whether it did, it tries
            // again, whatever the first one is told.
            Deed::Double => {
                let second = self.attempt(None).run().await;
                if let Entering::Refused(_) = second {
                    return Next::On(wire);
                }
                self.parting.spawn(wire.hear_out(HEARD_OUT));
                match second {
                    Entering::In(new, connected) => self.welcomed(new, &connected),
                    Entering::Refused(_) | Entering::Unknown => {
                        self.knows = None;
                        Next::Back(self.unsure())
                    }
                }
            }
        }
    }
}

/// Whether a client that is told this should try again.
fn again(error: &SessionError) -> bool {
    // Some are called unrecoverable for the sake of old clients only: the table knows.
    Reason::ALL.iter().find(|reason| reason.row().name == error.kind).is_some_and(|reason| reason.reconnect())
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
