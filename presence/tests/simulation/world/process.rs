//! A process: the fate that all tasks of one replica share. It can be killed or stopped at any await point, woken, and
//! cut off from the store or the bus; what it calls passes its gate.

use super::{World, defect::Defect, link::Link, lock, weather::Lot};
use futures_util::future::BoxFuture;
use presence::ports::Fault;
use presence_api::history::{Act, Entry};
use presence_core::ids::{ReplicaId, SessionKey};
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// How long a call waits for a store or a bus that does not answer. Adapters give up after about as long.
const PATIENCE: Duration = Duration::from_secs(2);
/// More polls than any honest run needs: somebody spins.
const MOST_POLLS: usize = 20_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Runs,
    /// As after SIGSTOP: it does nothing, and does not know it afterwards.
    Stopped,
    /// As after SIGKILL. Nothing of it is ever polled or dropped again before the run is over.
    Dead,
    /// It came to its end by itself.
    Exited,
}

/// What is on the other side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Store,
    Bus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Kill,
    Stop,
}

#[derive(Debug)]
struct Inner {
    state: State,
    wakers: Vec<Waker>,
    /// At which of the next polls it is struck, and how.
    fuse: Option<(u64, Blow)>,
    stopped_at: i64,
    links: Vec<Weak<Link>>,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) label: String,
    pub(crate) id: ReplicaId,
    world: Weak<World>,
    inner: Mutex<Inner>,
    cut_from_store: AtomicBool,
    cut_from_bus: AtomicBool,
    /// Whether the load balancer sends it sockets.
    pub(crate) accepts: AtomicBool,
    /// Tasks that have not come to their end.
    pub(crate) tasks: AtomicUsize,
    polls: AtomicUsize,
}

impl Process {
    pub(crate) fn start(world: &Arc<World>, label: String, id: ReplicaId) -> Arc<Self> {
        let process = Arc::new(Self {
            label,
            id,
            world: Arc::downgrade(world),
            inner: Mutex::new(Inner {
                state: State::Runs,
                wakers: vec![],
                fuse: None,
                stopped_at: 0,
                links: vec![],
            }),
            cut_from_store: AtomicBool::new(false),
            cut_from_bus: AtomicBool::new(false),
            accepts: AtomicBool::new(false),
            tasks: AtomicUsize::new(0),
            polls: AtomicUsize::new(0),
        });
        world.add_process(process.clone());
        process
    }

    pub(crate) fn state(&self) -> State {
        lock(&self.inner).state
    }

    pub(crate) fn runs(&self) -> bool {
        self.state() == State::Runs
    }

    /// Whether it runs, or will again.
    pub(crate) fn lives(&self) -> bool {
        matches!(self.state(), State::Runs | State::Stopped)
    }

    fn fault(&self, (began, at): (i64, i64), what: &str) {
        if let Some(world) = self.world.upgrade() {
            let act = Act::Fault { what: what.to_owned(), whom: self.label.clone() };
            world.enter(Entry { began, at, actor: "saboteur".to_owned(), act });
        }
    }

    fn now(&self) -> i64 {
        self.world.upgrade().map_or(0, |world| world.now())
    }

    /// At its so-manieth poll from now.
    pub(crate) fn strike_after(&self, polls: u64, blow: Blow) {
        lock(&self.inner).fuse = Some((polls, blow));
    }

    pub(crate) fn disarm(&self) {
        lock(&self.inner).fuse = None;
    }

    pub(crate) fn kill(&self) {
        if self.end(State::Dead) {
            self.fault((self.now(), self.now()), "kill");
        }
    }

    /// Its main function has returned.
    pub(crate) fn exited(&self) {
        self.end(State::Exited);
    }

    fn end(&self, state: State) -> bool {
        let mut inner = lock(&self.inner);
        if !matches!(inner.state, State::Runs | State::Stopped) {
            return false;
        }
        inner.state = state;
        let links = std::mem::take(&mut inner.links);
        drop(inner);
        self.accepts.store(false, Relaxed);
        links.iter().filter_map(Weak::upgrade).for_each(|link| link.reset());
        true
    }

    /// As when its machine loses its network for good: nobody is told.
    pub(crate) fn vanish(&self) {
        let links = std::mem::take(&mut lock(&self.inner).links);
        links.iter().filter_map(Weak::upgrade).for_each(|link| link.silence());
        let began = self.now();
        if self.end(State::Dead) {
            self.fault((began, began + crate::socket::SILENCE_LASTS), "vanish");
        }
    }

    pub(crate) fn stop(&self) {
        let now = self.now();
        let mut inner = lock(&self.inner);
        if inner.state == State::Runs {
            inner.state = State::Stopped;
            inner.stopped_at = now;
        }
    }

    pub(crate) fn wake(&self) {
        let mut inner = lock(&self.inner);
        if inner.state != State::Stopped {
            return;
        }
        inner.state = State::Runs;
        let (wakers, began) = (std::mem::take(&mut inner.wakers), inner.stopped_at);
        drop(inner);
        self.fault((began, self.now()), "stop");
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn cut(&self, side: Side, cut: bool) {
        match side {
            Side::Store => self.cut_from_store.store(cut, Relaxed),
            Side::Bus => self.cut_from_bus.store(cut, Relaxed),
        }
    }

    pub(crate) fn reaches(&self, side: Side) -> bool {
        match side {
            Side::Store => !self.cut_from_store.load(Relaxed),
            Side::Bus => !self.cut_from_bus.load(Relaxed),
        }
    }

    /// A socket that breaks when the process dies.
    pub(crate) fn hold(&self, link: &Arc<Link>) {
        let mut inner = lock(&self.inner);
        inner.links.retain(|link| link.strong_count() > 0);
        inner.links.push(Arc::downgrade(link));
    }

    /// Whether one of its clients does not read.
    pub(crate) fn has_stalled_client(&self) -> bool {
        lock(&self.inner).links.iter().filter_map(Weak::upgrade).any(|link| link.is_stalled())
    }

    /// Puts a task into the process.
    pub(crate) fn embody(self: &Arc<Self>, work: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        self.tasks.fetch_add(1, Relaxed);
        Box::pin(Embodied { process: self.clone(), work, ended: false })
    }

    /// Before a poll: whether there is one.
    fn may_run(&self, cx: &Context<'_>) -> bool {
        assert!(self.polls.fetch_add(1, Relaxed) < MOST_POLLS, "a task of {} spins", self.label);
        let mut inner = lock(&self.inner);
        if inner.state == State::Stopped {
            inner.wakers.push(cx.waker().clone());
        }
        inner.state == State::Runs
    }

    /// After a poll: it may be its last.
    fn burn_down(&self) {
        let mut inner = lock(&self.inner);
        let Some((left, blow)) = &mut inner.fuse else { return };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return;
        }
        let blow = *blow;
        inner.fuse = None;
        drop(inner);
        match blow {
            Blow::Kill => self.kill(),
            Blow::Stop => self.stop(),
        }
    }

    /// A call to the other side: it may take long, fail before or after its effect, or find nobody there.
    pub(crate) async fn call<T>(
        &self,
        side: Side,
        what: &'static str,
        effect: impl FnOnce(&World) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let world = self.world.upgrade().ok_or_else(|| gone(what, "the world has ended"))?;
        let Lot { before, after, fails_before, fails_after } = world.weather.lot();
        pause(before).await;
        self.reach(side, what).await?;
        if fails_before {
            return Err(gone(what, "refused by chance"));
        }
        let done = effect(&world);
        pause(after).await;
        if fails_after {
            return Err(gone(what, "the answer was lost by chance"));
        }
        self.reach(side, what).await?;
        done
    }

    /// One of the defects: the claim waits for its holder, who waits for a client that does not read.
    pub(crate) async fn wait_for_a_stalled_holder(&self, key: &SessionKey) {
        let Some(world) = self.world.upgrade().filter(|world| world.has(Defect::StalledByAClient)) else {
            return;
        };
        let is_held_up = || {
            let holder = world.tables().find(key)?;
            let processes = world.processes();
            let process = processes.iter().find(|process| process.id == holder.replica_id)?;
            Some(process.id != self.id && process.lives() && process.has_stalled_client())
        };
        while is_held_up() == Some(true) {
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn reach(&self, side: Side, what: &'static str) -> Result<(), Fault> {
        let reaching = async {
            while !self.reaches(side) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, reaching).await.map_err(|_| gone(what, "cut off"))
    }
}

/// Always an await point at which the process may be struck.
async fn pause(duration: Duration) {
    if duration.is_zero() {
        tokio::task::yield_now().await;
    } else {
        sleep(duration).await;
    }
}

pub(crate) fn gone(what: &'static str, why: &'static str) -> Fault {
    Fault::unavailable(what, why)
}

/// A task of a process.
struct Embodied {
    process: Arc<Process>,
    work: BoxFuture<'static, ()>,
    ended: bool,
}

impl Future for Embodied {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.process.may_run(cx) {
            return Poll::Pending;
        }
        let polled = self.work.as_mut().poll(cx);
        if polled.is_ready() {
            self.ended = true;
            self.process.tasks.fetch_sub(1, Relaxed);
        }
        self.process.burn_down();
        polled
    }
}

impl Drop for Embodied {
    fn drop(&mut self) {
        if !self.ended {
            self.process.tasks.fetch_sub(1, Relaxed);
        }
    }
}
