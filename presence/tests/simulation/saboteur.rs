//! Who does things to replicas: deploys, kills, stops, cuts, outages, a stream that forgets. By the seed, at any moment
//! and at any await point; and who sees to it that in the end everything is well again.

use crate::{
    agent::Stage,
    chance::Chance,
    replica::Replica,
    world::process::{Blow, Side},
};
use presence_api::history::{Act, Entry};
use presence_core::ids::ReplicaId;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

/// When a replica that nothing disturbs may sweep, and has had the time to.
const ABLE_AFTER: Duration = Duration::from_secs(16);

#[derive(Debug)]
pub(crate) struct Saboteur {
    stage: Arc<Stage>,
    chance: Chance,
    began: i64,
    labels: AtomicU64,
    /// Main functions; those of the dead never end.
    mains: TaskTracker,
    /// What is under way: outages, deploys.
    under_way: TaskTracker,
}

impl Saboteur {
    pub(crate) fn new(stage: &Arc<Stage>) -> Arc<Self> {
        Arc::new(Self {
            stage: stage.clone(),
            chance: stage.world.chance("saboteur"),
            began: stage.world.now(),
            labels: AtomicU64::new(0),
            mains: TaskTracker::new(),
            under_way: TaskTracker::new(),
        })
    }

    /// The first replicas.
    pub(crate) async fn begin(&self) {
        for _ in 0..self.chance.between(2..=4) {
            self.start_new();
        }
        sleep(Duration::from_millis(50)).await;
    }

    fn start(&self, label: &str) -> Arc<Replica> {
        self.stage.fleet.start(&self.stage.world, label, &self.mains)
    }

    fn start_new(&self) -> Arc<Replica> {
        let number = self.labels.fetch_add(1, Relaxed);
        self.start(&format!("presence-{number}"))
    }

    /// Notes when there is nobody who could end the sessions of the dead: whoever sweeps has renewed for a whole lease.
    async fn watch_sweepers(self: Arc<Self>) {
        let mut since: BTreeMap<ReplicaId, Instant> = BTreeMap::new();
        let mut without: Option<i64> = None;
        let world = &self.stage.world;
        loop {
            let (living, now) = (self.stage.fleet.living(), Instant::now());
            let able = living.iter().filter(|it| it.process.runs() && it.process.reaches(Side::Store));
            since =
                able.map(|it| (it.process.id, since.get(&it.process.id).copied().unwrap_or(now))).collect();
            let calm = self.stage.calm.is_cancelled();
            if calm || since.values().any(|since| now - *since >= ABLE_AFTER) {
                if let Some(began) = without.take() {
                    let act = Act::Fault { what: "no sweeper".to_owned(), whom: "everybody".to_owned() };
                    world.enter(Entry { began, at: world.now(), actor: "saboteur".to_owned(), act });
                }
            } else {
                without.get_or_insert(world.now());
            }
            if calm {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Does things for a while.
    pub(crate) async fn work(self: &Arc<Self>) {
        self.stage.actors.spawn(self.clone().watch_sweepers());
        let until = Instant::now() + self.chance.millis(10_000..=60_000);
        let pace = self.chance.between(1_000..=10_000);
        while Instant::now() < until {
            sleep(self.chance.millis(1..=pace)).await;
            self.do_something();
        }
    }

    /// A replica to do something to; none of the last one is left.
    fn victim(&self) -> Option<Arc<Replica>> {
        self.chance.pick(&self.stage.fleet.living()).cloned()
    }

    fn do_something(self: &Arc<Self>) {
        let Some(victim) = self.victim() else {
            self.start_new();
            return;
        };
        let me = self.clone();
        let what = self.chance.between(0..=99);
        self.under_way.spawn(async move {
            match what {
                0..=14 => me.deploy(victim).await,
                15..=29 => me.crash(victim).await,
                30..=44 => me.strike(victim).await,
                45..=54 => me.freeze(&victim).await,
                55..=74 => me.cut(&[victim]).await,
                75..=82 => me.cut(&me.stage.fleet.living()).await,
                83..=86 => me.shrink(&victim),
                87..=90 => me.shed(&victim),
                91..=93 => me.change_its_mind(&victim).await,
                94..=97 => me.forget(),
                _ => drop(me.start_new()),
            }
        });
    }

    /// A successor first, then the victim is asked to go.
    async fn deploy(&self, victim: Arc<Replica>) {
        let successor = self.start_new();
        let ready_by = Instant::now() + Duration::from_secs(10);
        while !successor.process.accepts.load(Relaxed) && Instant::now() < ready_by {
            sleep(Duration::from_millis(50)).await;
        }
        self.tell("drain", &victim);
        victim.terminate();
        if self.chance.percent(10) {
            // Its grace period is shorter than its drain.
            sleep(self.chance.millis(10..=5_000)).await;
            victim.process.kill();
        }
    }

    /// Fewer replicas than before, without a successor.
    fn shrink(&self, victim: &Replica) {
        if self.stage.fleet.accepting().len() > 1 {
            self.tell("drain", victim);
            victim.terminate();
        }
    }

    /// Some of its agents are to go elsewhere.
    fn shed(&self, victim: &Replica) {
        let agents = u32::try_from(self.chance.between(1..=4)).unwrap_or(1);
        if victim.process.runs() && victim.drainer.shed(agents).is_ok() {
            self.tell("shed", victim);
        }
    }

    /// A drain that is called off.
    async fn change_its_mind(&self, victim: &Replica) {
        if !victim.process.runs() {
            return;
        }
        self.tell("drain", victim);
        victim.process.accepts.store(false, Relaxed);
        victim.drainer.drain();
        sleep(self.chance.millis(10..=9_000)).await;
        while victim.process.lives() && !victim.process.runs() {
            sleep(Duration::from_millis(100)).await;
        }
        if victim.process.runs() && victim.drainer.undrain().is_ok() {
            self.tell("undrain", victim);
            victim.process.accepts.store(true, Relaxed);
        }
    }

    /// kill -9, or the loss of the whole node; what comes back is another process, under the same name or not.
    async fn crash(&self, victim: Arc<Replica>) {
        let silently = self.chance.percent(30);
        if silently {
            victim.process.vanish();
        } else {
            victim.process.kill();
        }
        self.come_back(&victim, silently).await;
    }

    async fn come_back(&self, victim: &Replica, elsewhere: bool) {
        sleep(self.chance.millis(200..=15_000)).await;
        if elsewhere {
            self.start_new()
        } else {
            self.start(&victim.process.label)
        };
    }

    /// At an await point of its own.
    async fn strike(&self, victim: Arc<Replica>) {
        let blow = if self.chance.percent(70) { Blow::Kill } else { Blow::Stop };
        victim.process.strike_after(self.chance.between(1..=400), blow);
        sleep(self.chance.millis(1_000..=25_000)).await;
        match blow {
            Blow::Kill if victim.process.lives() => {}
            Blow::Kill => self.come_back(&victim, false).await,
            Blow::Stop => victim.process.wake(),
        }
    }

    async fn freeze(&self, victim: &Replica) {
        victim.process.stop();
        sleep(self.chance.millis(100..=30_000)).await;
        victim.process.wake();
    }

    /// From the store, the bus, or both.
    async fn cut(&self, victims: &[Arc<Replica>]) {
        let sides: &[Side] = match self.chance.between(0..=3) {
            0 | 1 => &[Side::Store],
            2 => &[Side::Bus],
            _ => &[Side::Store, Side::Bus],
        };
        let began = self.stage.world.now();
        let set = |cut| {
            for victim in victims {
                for side in sides {
                    victim.process.cut(*side, cut);
                }
            }
        };
        set(true);
        sleep(self.chance.millis(50..=20_000)).await;
        set(false);
        let world = &self.stage.world;
        for victim in victims {
            let act = Act::Fault { what: format!("cut {sides:?}"), whom: victim.process.label.clone() };
            world.enter(Entry { began, at: world.now(), actor: "saboteur".to_owned(), act });
        }
    }

    fn forget(&self) {
        if self.chance.percent(40) {
            self.stage.world.stream.wipe();
            self.tell_of("wipe", "stream");
        } else {
            let most = usize::try_from(self.chance.between(0..=20)).unwrap_or(0);
            self.stage.world.stream.forget_all_but(most);
            self.tell_of("forget", "stream");
        }
    }

    fn tell(&self, what: &str, whom: &Replica) {
        self.tell_of(what, &whom.process.label);
    }

    fn tell_of(&self, what: &str, whom: &str) {
        let world = &self.stage.world;
        let act = Act::Fault { what: what.to_owned(), whom: whom.to_owned() };
        world.write(world.now(), "saboteur", act);
    }

    /// Nothing goes wrong any more, and there is somebody to go to.
    pub(crate) async fn heal(&self) {
        let world = &self.stage.world;
        if world.weather.is_bad() {
            let act = Act::Fault { what: "weather".to_owned(), whom: "everybody".to_owned() };
            world.enter(Entry { began: self.began, at: world.now(), actor: "saboteur".to_owned(), act });
        }
        world.weather.calm_down();
        self.under_way.close();
        self.under_way.wait().await;
        for replica in self.stage.fleet.all() {
            replica.process.disarm();
            replica.process.wake();
        }
        self.start_new();
        sleep(Duration::from_secs(1)).await;
    }
}
