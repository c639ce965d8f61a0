//! A run: a seed becomes a world, replicas, agents and a saboteur; then everything heals, calms down and is looked at.

use crate::{
    agent::{Agent, Role, Stage},
    judge::{Finding, at_the_end, findings, judge},
    publisher::publish,
    saboteur::Saboteur,
    world::{World, defect::Defect},
};
use presence_api::history::{Act, Entry, Key};
use presence_checker::Verdict;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

/// Longer than any run takes, in its own time: somebody waits for ever.
const WATCHDOG: Duration = Duration::from_mins(30);
/// How long it may take until every agent is where it wants to be, once nothing goes wrong any more.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);
/// Beyond everything that is eventual: a lease, the return window, a sweep, a half-open socket, a grace; and tokens that
/// were issued before have ended by then.
const SETTLING: Duration = Duration::from_secs(45);
const QUIET: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    pub(crate) defect: Option<Defect>,
    pub(crate) traced: bool,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) history: Vec<Entry>,
    /// What is wrong with it; nothing if it is good.
    pub(crate) findings: Vec<Finding>,
    pub(crate) verdict: Verdict,
    pub(crate) trace: Vec<String>,
}

/// One thread, and time that passes when nobody has anything to do.
pub(crate) fn runtime() -> Runtime {
    let building = Builder::new_current_thread().enable_time().start_paused(true).build();
    building.expect("a runtime without input and output needs nothing that could be missing")
}

/// Plays a seed from its beginning to its end.
pub(crate) fn run(seed: u64, options: Options) -> Outcome {
    let runtime = runtime();
    let (world, mut found) = runtime.block_on(async {
        let world = World::new(seed, options.defect, options.traced);
        let played = timeout(WATCHDOG, play(&world)).await;
        (world.clone(), played.unwrap_or_else(|_| vec![at_the_end("the run did not come to its end")]))
    });
    drop(runtime);
    let mut history = world.take_history();
    // What follows is the way home, which is judged by what is left behind.
    if let Some(quiet) = history.iter().position(|entry| entry.act == Act::Quiet {}) {
        history.truncate(quiet + 1);
    }
    let verdict = judge(&history);
    found.extend(findings(&history, &verdict));
    Outcome { history, findings: found, verdict, trace: world.take_trace() }
}

async fn play(world: &Arc<World>) -> Vec<Finding> {
    let stage = Stage::new(world);
    let saboteur = Saboteur::new(&stage);
    saboteur.begin().await;
    let agents = cast(&stage);
    saboteur.work().await;
    saboteur.heal().await;
    stage.calm.cancel();
    sleep(SETTLING).await;
    let mut findings = settle(&agents).await;
    let began = world.now();
    sleep(QUIET).await;
    dump(world);
    let quiet = Entry { began, at: world.now(), actor: "saboteur".to_owned(), act: Act::Quiet {} };
    world.enter(quiet);
    findings.extend(go_home(&stage).await);
    findings
}

/// Agents, some of them twice, and those who speak in their classrooms.
fn cast(stage: &Arc<Stage>) -> Vec<(String, Arc<AtomicBool>)> {
    let chance = stage.world.chance("cast");
    let classrooms = chance.between(1..=3);
    for number in 0..classrooms {
        stage.actors.spawn(publish(stage.clone(), format!("room-{number}")));
    }
    let mut settled = vec![];
    let mut former: Option<Role> = None;
    for number in 0..chance.between(3..=12) {
        let role = former.take().filter(|_| chance.percent(20)).unwrap_or_else(|| Role {
            actor: String::new(),
            account: format!("agent-{number}"),
            classroom: format!("room-{}", chance.between(0..=classrooms - 1)),
            forgets: chance.percent(25),
            token_ms: if chance.percent(15) {
                chance.between(10_000..=40_000).cast_signed()
            } else {
                3_600_000
            },
            quits: chance.percent(30),
            temper: chance.between(2_000..=20_000),
        });
        former = Some(role.clone());
        let role = Role { actor: format!("client-{number}"), ..role };
        let agent = Agent::new(stage, role.clone());
        settled.push((role.actor, agent.settled.clone()));
        stage.actors.spawn(agent.live());
    }
    settled
}

async fn settle(agents: &[(String, Arc<AtomicBool>)]) -> Vec<Finding> {
    let restless = || agents.iter().filter(|(_, settled)| !settled.load(Relaxed));
    let waiting = async {
        while restless().next().is_some() {
            sleep(Duration::from_millis(250)).await;
        }
    };
    if timeout(SETTLED_WITHIN, waiting).await.is_ok() {
        return vec![];
    }
    restless()
        .map(|(actor, _)| at_the_end(format!("{actor} is not where it wants to be, though nothing is wrong")))
        .collect()
}

/// What the database holds.
fn dump(world: &World) {
    let now = world.now();
    let tables = world.tables();
    let key = |key: &presence_core::ids::SessionKey| Key {
        agent_id: key.agent_id.to_string(),
        classroom_id: key.classroom_id.to_string(),
    };
    let live = tables.sessions.iter().map(|(of, row)| Act::Live {
        session_id: row.id.0,
        key: key(of),
        generation: row.generation.0,
        replica: world.label_of(row.replica_id),
        started_at: row.started_at,
    });
    let ended = tables.history.iter().map(|ended| Act::Ended {
        session_id: ended.id.0,
        key: key(&ended.key),
        started_at: ended.from,
        ended_at: ended.to,
    });
    let waiting = tables.outbox.values().filter(|letter| letter.published_at.is_none());
    let waiting = waiting.map(|letter| Act::Waiting {
        session_id: letter.session_id.0,
        operation: letter.operation.as_str().to_owned(),
        key: key(&letter.key),
    });
    let lines: Vec<_> = live.chain(ended).chain(waiting).collect();
    let count = |is: fn(&Act) -> bool| lines.iter().filter(|act| is(act)).count() as u64;
    let dumped = Act::Dumped {
        live: count(|act| matches!(act, Act::Live { .. })),
        ended: count(|act| matches!(act, Act::Ended { .. })),
        waiting: count(|act| matches!(act, Act::Waiting { .. })),
    };
    drop(tables);
    for act in lines.into_iter().chain([dumped]) {
        world.write(now, "reader", act);
    }
}

/// Everybody leaves, every process ends: nothing may be left behind.
async fn go_home(stage: &Stage) -> Vec<Finding> {
    let (world, fleet) = (&stage.world, &stage.fleet);
    stage.over.cancel();
    stage.actors.close();
    stage.actors.wait().await;
    let living = fleet.living();
    for replica in &living {
        replica.terminate();
    }
    let ending = async {
        while !fleet.living().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let mut findings = vec![];
    if timeout(Duration::from_mins(1), ending).await.is_err() {
        findings.extend(
            fleet.living().iter().map(|it| at_the_end(format!("{} does not exit", it.process.label))),
        );
    }
    // A task that ends at the exit is polled once more.
    sleep(Duration::from_millis(1)).await;
    findings.extend(living.iter().filter_map(|it| it.left_behind()).map(at_the_end));
    let tables = world.tables();
    let left: Vec<_> = tables.sessions.iter().filter(|_| !living.is_empty()).collect();
    if !left.is_empty() {
        findings.push(at_the_end(format!("sessions after everybody has gone home: {left:?}")));
    }
    findings
}
