//! A client with the manners of a good one: it backs off, resumes, moves over when it is told to go; and with the habits
//! of a real one: it reloads, loses its network, stops reading, and comes in twice.

use crate::{
    chance::Chance,
    replica::Fleet,
    socket::{Hello, Known, News, Refused, Socket, knock, known},
    world::{World, identity::AUDIENCE, lock},
};
use presence_api::history::{Act, Entry, Key};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const FIRST_PAUSE: u64 = 100;
const LONGEST_PAUSE: u64 = 5_000;

/// What all agents of a run share.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    pub(crate) fleet: Fleet,
    /// Those who do things: agents, publishers, main functions.
    pub(crate) actors: TaskTracker,
    /// From now on agents stay where they are.
    pub(crate) calm: CancellationToken,
    /// From now on they go home.
    pub(crate) over: CancellationToken,
}

impl Stage {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            fleet: Fleet::default(),
            actors: TaskTracker::new(),
            calm: CancellationToken::new(),
            over: CancellationToken::new(),
        })
    }
}

/// Who an agent is.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// Its name in the history.
    pub(crate) actor: String,
    pub(crate) account: String,
    pub(crate) classroom: String,
    /// It never says what it had: a client of an older kind.
    pub(crate) forgets: bool,
    /// How long its tokens last.
    pub(crate) token_ms: i64,
    /// It does not come back for the end: what it leaves behind has to go by itself.
    pub(crate) quits: bool,
    /// How often it does something, in milliseconds.
    pub(crate) temper: u64,
}

#[derive(Debug)]
pub(crate) struct Agent {
    stage: Arc<Stage>,
    role: Role,
    chance: Chance,
    known: Known,
    sockets: u64,
    /// It is where it wants to be: in, or out.
    pub(crate) settled: Arc<AtomicBool>,
}

/// How a stay went on.
enum Next {
    /// Come in again after this.
    Again(Duration),
    /// Somebody else is this agent now, or it has had enough: away for a while.
    Away,
    Home,
}

impl Agent {
    pub(crate) fn new(stage: &Arc<Stage>, role: Role) -> Self {
        let chance = stage.world.chance(&role.actor);
        let settled = Arc::new(AtomicBool::new(false));
        Self { stage: stage.clone(), role, chance, known: Known::default(), sockets: 0, settled }
    }

    fn calm(&self) -> bool {
        self.stage.calm.is_cancelled()
    }

    /// Comes and goes until the run is over.
    pub(crate) async fn live(mut self) {
        let mut wait = self.chance.millis(0..=3_000);
        loop {
            self.wait(wait).await;
            if self.stage.over.is_cancelled() {
                return;
            }
            wait = match self.stay().await {
                Next::Again(_) | Next::Away if self.role.quits && self.chance.percent(25) => {
                    self.settled.store(true, Relaxed);
                    return;
                }
                Next::Again(wait) => wait,
                Next::Home => return,
                Next::Away if self.calm() => {
                    // Whoever was replaced has lost its place to its own other half.
                    self.settled.store(true, Relaxed);
                    self.stage.over.cancelled().await;
                    return;
                }
                Next::Away => {
                    if self.chance.percent(70) {
                        *lock(&self.known) = None;
                    }
                    self.chance.millis(50..=9_000)
                }
            };
        }
    }

    async fn wait(&self, wait: Duration) {
        tokio::select! {
            biased;
            () = self.stage.over.cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    fn hello(&mut self) -> Hello {
        self.sockets += 1;
        let Role { actor, account, classroom, forgets, token_ms, .. } = &self.role;
        // What is quiet is not disturbed by a token's end.
        let token_ms = if self.calm() { 3_600_000 } else { *token_ms };
        let resume = known(&self.known).filter(|_| !forgets);
        Hello {
            actor: actor.clone(),
            label: "web".to_owned(),
            account: account.clone(),
            key: Key { agent_id: format!("web.{account}.{AUDIENCE}"), classroom_id: classroom.clone() },
            number: self.sockets,
            resume,
            until: self.stage.world.now() + token_ms * 1_000,
        }
    }

    /// One attempt, at whichever replica the load balancer sends it to.
    fn attempt(&mut self) -> impl Future<Output = Result<Socket, Refused>> + use<> {
        let accepting = self.stage.fleet.accepting();
        let replica = self.chance.pick(&accepting).cloned();
        let (world, hello, known) = (self.stage.world.clone(), self.hello(), self.known.clone());
        let flight = self.chance.millis(0..=5);
        async move {
            sleep(flight).await;
            let end = replica.and_then(|replica| replica.accept());
            knock(&world, hello, end, &known).await
        }
    }

    /// Tries until it is in, or is told not to; and leaves once the run is over.
    async fn enter(&mut self) -> Result<Socket, Next> {
        let mut pause = FIRST_PAUSE;
        loop {
            let over = self.stage.over.clone();
            let refused = tokio::select! {
                biased;
                () = over.cancelled() => return Err(Next::Home),
                outcome = self.attempt() => match outcome {
                    Ok(socket) => return Ok(socket),
                    Err(refused) => refused,
                },
            };
            if !refused.again {
                return Err(Next::Away);
            }
            // Full jitter, or what the server says.
            let wait = refused.after_ms.unwrap_or_else(|| self.chance.between(0..=pause));
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.wait(Duration::from_millis(wait)).await;
        }
    }

    async fn stay(&mut self) -> Next {
        let mut socket = match self.enter().await {
            Ok(socket) => socket,
            Err(next) => return next,
        };
        let stage = self.stage.clone();
        loop {
            let calm = self.calm();
            self.settled.store(calm, Relaxed);
            let next_move = Instant::now() + self.chance.millis(1..=self.role.temper);
            let news = tokio::select! {
                biased;
                () = stage.over.cancelled() => {
                    self.bid_farewell(socket);
                    return Next::Home;
                }
                news = socket.next() => news,
                () = stage.calm.cancelled(), if !calm => continue,
                () = sleep_until(next_move), if !calm => match self.act(socket).await {
                    Ok(same) => {
                        socket = same;
                        continue;
                    }
                    Err(next) => return next,
                },
            };
            self.settled.store(false, Relaxed);
            match news {
                News::Over { again: true } => return Next::Again(self.chance.millis(0..=300)),
                News::Over { again: false } => return Next::Away,
                News::Terminated { after_ms } => match self.move_over(socket, after_ms).await {
                    Ok(moved) => socket = moved,
                    Err(next) => return next,
                },
            }
        }
    }

    fn bid_farewell(&self, socket: Socket) {
        if let Some(end) = socket.close() {
            self.stage.actors.spawn(end.close());
        }
    }

    /// One of a client's habits.
    async fn act(&mut self, socket: Socket) -> Result<Socket, Next> {
        match self.chance.between(0..=99) {
            0..=24 => {
                self.bid_farewell(socket);
                Err(Next::Away)
            }
            25..=39 => {
                // A reload: the close and the next connect in the same instant.
                self.bid_farewell(socket);
                Err(Next::Again(self.chance.millis(0..=1)))
            }
            40..=59 => {
                socket.reset();
                Err(Next::Again(self.chance.millis(0..=7_000)))
            }
            60..=64 => {
                socket.reset();
                Err(Next::Away)
            }
            65..=74 => {
                socket.abandon();
                Err(Next::Again(self.chance.millis(0..=500)))
            }
            75..=84 => Ok(self.stall(socket).await),
            // A second tab of the same agent, which leaves the first one to its fate.
            85..=89 => self.duplicate(socket).await,
            _ => Ok(socket),
        }
    }

    /// Does not read for a while.
    async fn stall(&mut self, socket: Socket) -> Socket {
        let world = self.stage.world.clone();
        let began = world.now();
        let how_long = self.chance.millis(500..=20_000);
        tokio::select! {
            biased;
            () = self.stage.calm.cancelled() => {}
            () = sleep(how_long) => {}
        }
        let act = Act::Fault { what: "stall".to_owned(), whom: self.role.actor.clone() };
        world.enter(Entry { began, at: world.now(), actor: "saboteur".to_owned(), act });
        socket
    }

    async fn duplicate(&mut self, old: Socket) -> Result<Socket, Next> {
        match self.attempt().await {
            Ok(new) => {
                // The old one is read to its end by nobody but itself.
                self.stage.actors.spawn(read_to_its_end(old, self.stage.over.clone()));
                Ok(new)
            }
            Err(_) => Ok(old),
        }
    }

    /// Make before break: a new socket elsewhere, while the old one still delivers; then the old one is closed.
    async fn move_over(&mut self, mut old: Socket, after_ms: u64) -> Result<Socket, Next> {
        sleep(Duration::from_millis(after_ms)).await;
        let mut pause = FIRST_PAUSE;
        let mut listening = true;
        loop {
            let mut attempt = pin!(self.attempt());
            let outcome = loop {
                tokio::select! {
                    biased;
                    outcome = &mut attempt => break outcome,
                    news = old.next(), if listening => listening = !matches!(news, News::Over { .. }),
                }
            };
            match outcome {
                Ok(new) => {
                    self.bid_farewell(old);
                    return Ok(new);
                }
                Err(Refused { again: false, .. }) => {
                    self.bid_farewell(old);
                    return Err(Next::Away);
                }
                Err(Refused { after_ms, .. }) if !self.stage.over.is_cancelled() => {
                    let wait = after_ms.unwrap_or_else(|| self.chance.between(0..=pause));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    sleep(Duration::from_millis(wait)).await;
                }
                Err(_) => {
                    self.bid_farewell(old);
                    return Err(Next::Home);
                }
            }
        }
    }
}

async fn read_to_its_end(mut socket: Socket, over: CancellationToken) {
    let reading = async { while !matches!(socket.next().await, News::Over { .. }) {} };
    tokio::select! {
        biased;
        () = over.cancelled() => {}
        () = reading => return,
    }
    if let Some(end) = socket.close() {
        end.close().await;
    }
}
