//! What a scenario of the chaos tier plays on: a cluster, a crowd, gossip and a witness; and how it ends: everybody is
//! calm, some go, all is quiet, and the checker judges.

use crate::{
    Cluster, Database, Mode,
    app::{Person, Way},
    cluster::REPLICAS,
    crowd::{Crowd, Manner, Order, chance::Chance},
    dump,
    gossip::{Gossip, Topic},
    history::{History, now},
    judge::{Invariant, judge, judge_only},
    lesson_dump,
    lessons::Lesson,
    publisher::{Foreign, Publisher},
    wait,
    witness::Witness,
};
use anyhow::{Context, Result, anyhow, ensure};
use futures_util::FutureExt;
use presence_api::history::{Act, Entry};
use std::{collections::BTreeSet, panic::AssertUnwindSafe, time::Duration};
use tempfile::TempDir;

/// The org of all classroom apps.
const ORG: &str = "o1";

/// Who plays.
#[derive(Debug, Clone)]
pub struct Cast {
    pub agents: usize,
    /// Classroom apps, in the same classrooms; with them there is a Redis.
    pub apps: usize,
    pub classrooms: usize,
    pub manner: Manner,
    /// Settings of the replicas, over the quick ones.
    pub settings: &'static [(&'static str, &'static str)],
    /// Milliseconds from one foreign event to the next.
    pub gossip_every: u64,
    /// Where the first replica is to crash.
    pub crash_at: Option<&'static str>,
    /// Bytes of a foreign event's text.
    pub bytes: usize,
}

impl Default for Cast {
    fn default() -> Self {
        let manner = Manner::RESTLESS;
        Self {
            agents: 18,
            apps: 0,
            classrooms: 3,
            manner,
            settings: &[],
            gossip_every: 40,
            crash_at: None,
            bytes: 16,
        }
    }
}

/// Before it begins: a folder, a history and a seed.
#[derive(Debug)]
pub struct Stage {
    pub folder: TempDir,
    pub history: History,
    pub chance: Chance,
    pub seed: u64,
    /// What no other scenario uses.
    id: String,
    /// Ended with the stage, whatever comes of the scenario.
    pub play: Option<Play>,
}

/// While it is played.
#[derive(Debug)]
pub struct Play {
    pub cluster: Cluster,
    pub crowd: Crowd,
    pub witness: Witness,
    pub gossip: Option<Gossip>,
    publisher: Publisher,
    chance: Chance,
}

impl Stage {
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("presence-chaos-").tempdir().context("make a folder")?;
        let history = History::at(&folder.path().join("history.jsonl"))?;
        let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        Ok(Self { folder, history, chance: Chance::of(seed), seed, id, play: None })
    }

    /// On the database server that all tests share.
    pub async fn begin(&mut self, cast: &Cast) -> Result<&mut Play> {
        let database = Database::create(&format!("presence_chaos_{}", self.id))?;
        self.begin_on(database, cast).await
    }

    /// Three replicas are ready, everybody has entered once, and the load is on.
    pub async fn begin_on(&mut self, database: Database, cast: &Cast) -> Result<&mut Play> {
        let mut cluster = Cluster::new(self.folder.path(), &self.history, database, cast.settings).await?;
        if cast.apps > 0 {
            cluster.open_to_apps().await?;
            for number in 0..cast.classrooms {
                let id = format!("room-{number}");
                cluster.database.add_lesson(Lesson { id: &id, org: ORG, room: Some("r1") })?;
            }
        }
        cluster.start_to_crash(&[0], cast.crash_at).await?;
        cluster.start(&(1..REPLICAS).collect::<Vec<_>>()).await?;
        let nats = cluster.nats.url()?;
        let witness = Witness::start(&nats).await?;
        let publisher = Publisher::connect(&nats).await?;
        let mut crowd =
            Crowd::new(cluster.targets.clone(), self.history.clone(), cluster.tokens(), self.chance.split());
        for number in 0..cast.agents {
            let classroom = format!("room-{}", number % cast.classrooms);
            crowd.enter(&format!("agent{number}"), &classroom, &cast.manner)?;
        }
        for number in 0..cast.apps {
            let user = format!("app{number}");
            // Over polling every request may go to another replica, so that they are forwarded; here they all stay with one.
            let way = Way::ALL[number % Way::ALL.len()];
            let teaches = number % 4 == 0;
            let person = if teaches { Person::teacher(&user, ORG) } else { Person::student(&user, ORG) };
            crowd.enter_app(&person, way, &format!("room-{}", number % cast.classrooms), &cast.manner)?;
        }
        let mut play = Play { cluster, crowd, witness, gossip: None, publisher, chance: self.chance.split() };
        play.talk(cast).await?;
        let play = self.play.insert(play);
        // One that is to crash may take some of them with it before all were in.
        if cast.crash_at.is_none() {
            play.crowd.expect_in_once().await?;
        }
        Ok(play)
    }
}

impl Play {
    async fn talk(&mut self, cast: &Cast) -> Result<()> {
        let topic = Topic {
            classrooms: self.crowd.classrooms().into_iter().collect(),
            agents: self.crowd.clients.iter().map(crate::crowd::Client::agent_id).collect(),
            every: Duration::from_millis(cast.gossip_every),
            bytes: cast.bytes,
        };
        let gossip = Gossip::start(&self.cluster.nats.url()?, topic, self.chance.split()).await?;
        self.gossip = Some(gossip);
        Ok(())
    }

    /// More clients enter, in classrooms of their own.
    pub fn more_enter(&mut self, agents: usize, prefix: &str, manner: &Manner) -> Result<()> {
        for number in 0..agents {
            self.crowd.enter(&format!("{prefix}{number}"), &format!("{prefix}-{}", number % 3), manner)?;
        }
        Ok(())
    }

    /// Lets so many more connects succeed before it goes on: a load that is counted, not timed.
    pub async fn go_on_for(&self, connects: usize) -> Result<()> {
        let history = &self.cluster.history;
        let goal = history.entered() + connects;
        wait::eventually_within(6 * wait::PATIENCE, "clients to go on connecting", async || {
            let entered = history.entered();
            ensure!(entered >= goal, "{entered} of {goal} connects");
            Ok(())
        })
        .await
    }

    pub fn all_buses(&self, mode: Mode) {
        for replica in &self.cluster.replicas {
            replica.bus.set(mode);
        }
    }

    /// Does something to everything in the world, and writes down that it lasted until it was healed.
    pub async fn while_it_lasts(
        &mut self,
        what: &str,
        whom: &str,
        lasting: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let began = now();
        lasting(self).await?;
        self.cluster.history.fault_since(began, what, whom);
        Ok(())
    }

    /// The end of every scenario: the faults are over by now.
    pub async fn end(&mut self) -> Result<()> {
        self.end_judged(|cluster, history| {
            // The product's own word first: where the two differ, the checker's text says more.
            let verified = cluster.verify();
            judge(history)?;
            verified
        })
        .await
    }

    /// The same, with a judge of the scenario's own.
    pub async fn end_judged(&mut self, judge: impl Fn(&Cluster, &[Entry]) -> Result<()>) -> Result<()> {
        let settled = self.settle().await;
        if settled.is_err() {
            // What there is says more than nothing. Why it cannot be read is known already.
            let _ = (self.witness.read().await, dump::write(&self.cluster.database, &self.cluster.history));
        }
        self.witness.write(&self.cluster.history);
        let history = self.cluster.history.whole()?;
        let judged = judge(&self.cluster, &history);
        let logs = self.cluster.objections()?;
        let objections = [
            settled.err().map(|error| format!("it did not settle: {error:#}")),
            judged.err().map(|error| format!("the checker's verdict:\n{error:#}")),
            (!logs.is_empty()).then(|| format!("in the logs:\n{}", logs.join("\n"))),
        ];
        let objections: Vec<_> = objections.into_iter().flatten().collect();
        ensure!(objections.is_empty(), "{}", objections.join("\n\n"));
        self.crowd.disperse().await;
        self.cluster.finish().await
    }

    async fn settle(&mut self) -> Result<()> {
        self.crowd.calm();
        self.crowd.expect_in().await?;
        self.some_go().await?;
        self.gossip = None;
        self.expect_rosters().await?;
        self.expect_all_heard().await?;
        self.expect_lessons_agree().await?;
        self.be_quiet().await
    }

    /// The lesson state says what everybody else says.
    async fn expect_lessons_agree(&self) -> Result<()> {
        let Some(redis) = &self.cluster.redis else { return Ok(()) };
        let keys = redis.keys("").await?;
        wait::eventually_within(6 * wait::PATIENCE, "the lesson state to agree with everybody", async || {
            let mut history = self.cluster.history.whole()?;
            let (began, at) = (now(), now());
            history.push(Entry { began, at, actor: "saboteur".into(), act: Act::Quiet {} });
            history.extend(lesson_dump::read(&keys).await?);
            judge_only(&history, &[Invariant::I8])
        })
        .await
    }

    /// A few close for good, a few are lost for good; the rest stay.
    async fn some_go(&mut self) -> Result<()> {
        let staying: Vec<_> =
            (0..self.crowd.clients.len()).filter(|&i| self.crowd.clients[i].stays).collect();
        for (count, index) in staying.into_iter().enumerate() {
            match count % 6 {
                0 => self.crowd.order(index, Order::Leave).await?,
                3 => self.crowd.order(index, Order::Vanish).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The database and every replica say that exactly those are present who are.
    async fn expect_rosters(&self) -> Result<()> {
        let expected = self.crowd.expected();
        wait::eventually_within(6 * wait::PATIENCE, "exactly those to be present who are", async || {
            let live: BTreeSet<_> = dump::live(&self.cluster.database)?.into_iter().collect();
            let ghosts: Vec<_> = live.difference(&expected).collect();
            let missing: Vec<_> = expected.difference(&live).collect();
            ensure!(ghosts.is_empty() && missing.is_empty(), "ghosts: {ghosts:?}, missing: {missing:?}");
            let waiting =
                self.cluster.database.query("SELECT count(*) FROM outbox WHERE published_at IS NULL")?;
            ensure!(waiting == "0", "{waiting} events wait in the outbox");
            Ok(())
        })
        .await
    }

    /// A last word in each classroom reaches everybody there, and so everything before it did or never will.
    async fn expect_all_heard(&self) -> Result<()> {
        for classroom in self.crowd.classrooms() {
            let last_word = async || self.publisher.bare(&Foreign::new(&classroom, 0)).await;
            let seq =
                wait::eventually_within(3 * wait::PATIENCE, "the last word to be kept", last_word).await?;
            self.crowd.expect_heard(&classroom, seq).await?;
        }
        Ok(())
    }

    /// Nothing happens any more while all that is there is written down.
    async fn be_quiet(&self) -> Result<()> {
        let (database, history) = (&self.cluster.database, &self.cluster.history);
        let quiet = async || {
            let began = now();
            let before = (dump::fingerprint(database)?, self.witness.last().await?);
            self.witness.read().await?;
            let after = (dump::fingerprint(database)?, self.witness.last().await?);
            ensure!(before == after, "something still happens: {before:?}, then {after:?}");
            Ok((began, before))
        };
        let (began, before) = wait::eventually_within(3 * wait::PATIENCE, "quiet", quiet).await?;
        dump::write(database, history)?;
        if let Some(redis) = &self.cluster.redis {
            for line in lesson_dump::read(&redis.keys("").await?).await? {
                history.write(line);
            }
        }
        let after = (dump::fingerprint(database)?, self.witness.last().await?);
        ensure!(before == after, "it was not quiet after all: {before:?}, then {after:?}");
        history.since(began, "saboteur", Act::Quiet {});
        Ok(())
    }
}

/// Plays a scenario; when it fails, everything that it wrote is kept, and named.
pub fn run(scenario: impl AsyncFnOnce(&mut Stage) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a test has threads to run on").block_on(async {
        let mut stage = Stage::new().unwrap_or_else(|error| panic!("{error:#}"));
        let played = AssertUnwindSafe(scenario(&mut stage)).catch_unwind().await;
        let played = played.unwrap_or_else(|panic| Err(anyhow!("{}", crate::scenario::text_of(&*panic))));
        if let Err(error) = played {
            let tails = stage.play.take().map(|play| play.cluster.tails()).unwrap_or_default();
            let (seed, history) = (stage.seed, stage.history.path.display());
            let told = format!(
                "{error:#}\n\nseed {seed}; the history is {history}, the logs are beside it\n{tails}"
            );
            let _ = stage.folder.keep();
            panic!("{told}");
        }
    });
}

/// Makes tests of scenarios: `short` ones are played in every run, `long` ones in the whole matrix.
#[macro_export]
macro_rules! chaos {
    ($(short: $($short:ident),+ ;)? $(long: $($long:ident),+ ;)?) => {
        $(mod short { $(#[test] fn $short() { $crate::stage::run(super::$short); })+ })?
        $(mod long { $(#[test] fn $long() { $crate::stage::run(super::$long); })+ })?
    };
}
