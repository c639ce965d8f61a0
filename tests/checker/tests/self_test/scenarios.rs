//! Good histories: what the model does, mixed differently. The checker must accept every one of them.

use crate::model::{Past, SECOND, World};
use presence_api::history::{Act, Entry, Outcome, Side};

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// An agent comes, or comes again on a replica of its choice.
    Come,
    Go,
    Say,
    /// The connection breaks; the agent is back within the grace, or not.
    Vanish,
    Drain,
    Kill,
    Stop,
    /// A replica is away for longer than its lease, and claims again what was swept.
    Lapse,
    /// Two windows of one agent connect at once.
    Race,
    /// A replica loses the bus for a while.
    Gap,
    Slow,
    Unknown,
    Refused,
    Dump,
}

use Step::{Come, Drain, Dump, Gap, Go, Kill, Lapse, Race, Refused, Say, Slow, Stop, Unknown, Vanish};

/// A history, and how it came to be.
#[derive(Debug)]
pub(crate) struct Good {
    pub(crate) name: String,
    pub(crate) entries: Vec<Entry>,
}

const MIXES: &[(&str, &[(Step, usize)])] = &[
    ("comings and goings", &[(Come, 6), (Go, 4), (Say, 6)]),
    ("replaces", &[(Come, 12), (Go, 1), (Say, 4), (Race, 2), (Dump, 1)]),
    ("broken connections", &[(Come, 5), (Go, 1), (Say, 6), (Vanish, 5)]),
    ("slow consumers and gaps", &[(Come, 4), (Go, 1), (Say, 6), (Slow, 2), (Gap, 3)]),
    ("lost answers", &[(Come, 5), (Go, 3), (Say, 4), (Unknown, 4), (Refused, 3)]),
    ("a rolling replacement", &[(Come, 6), (Go, 1), (Say, 6), (Drain, 1)]),
    ("crashes", &[(Come, 8), (Go, 1), (Say, 6), (Kill, 1), (Stop, 1), (Lapse, 1)]),
    (
        "everything",
        &[
            (Come, 16),
            (Go, 6),
            (Say, 16),
            (Vanish, 3),
            (Drain, 1),
            (Kill, 1),
            (Gap, 2),
            (Slow, 2),
            (Unknown, 2),
            (Refused, 1),
            (Dump, 1),
            (Stop, 1),
            (Lapse, 1),
            (Race, 1),
        ],
    ),
];

/// Every mix, with each of these seeds.
pub(crate) fn good(seeds: std::ops::Range<u64>) -> Vec<Good> {
    let of = |seed: u64| {
        MIXES
            .iter()
            .map(move |(name, mix)| Good { name: format!("{name}, seed {seed}"), entries: run(seed, mix) })
    };
    seeds.flat_map(of).collect()
}

fn run(seed: u64, mix: &[(Step, usize)]) -> Vec<Entry> {
    let mut world = World::new(seed);
    let steps: Vec<_> = mix.iter().flat_map(|&(step, weight)| std::iter::repeat_n(step, weight)).collect();
    // Enough is said and done for every invariant, whatever chance brings.
    for agent in 0..6 {
        come(&mut world, agent, Past::Unspoken);
        world.say("room-0");
    }
    for _ in 0..120 {
        let step = *world.chance.of(&steps);
        let pause = i64::from(world.chance.number(1_500));
        world.pass(pause);
        take(&mut world, step);
    }
    world.say("room-0");
    world.finish()
}

fn take(world: &mut World, step: Step) {
    let agent = world.chance.below(world.agents.len());
    match step {
        Come => {
            let past = *world.chance.of(&[Past::Unspoken, Past::Resumed, Past::TooOld]);
            come(world, agent, past);
        }
        Go => go(world, agent),
        Say => {
            let room = world.agents[agent].key.classroom_id.clone();
            world.say(&room);
        }
        Vanish => vanish(world, agent),
        Drain => drain(world),
        Kill => kill(world),
        Stop => stop(world),
        Lapse => lapse(world),
        Race => race(world),
        Gap => gap(world, agent),
        Slow => slow(world, agent),
        Unknown => unknown(world, agent),
        Refused => {
            let began = world.now;
            world.pass(20);
            world.fruitless(agent, began, Outcome::Refused { reason: "overloaded".into() });
        }
        Dump => world.dump(),
    }
}

fn come(world: &mut World, agent: usize, past: Past) {
    let replica = world.chance.of(&world.replicas.clone()).clone();
    world.connect(agent, &replica, past);
}

fn go(world: &mut World, agent: usize) {
    let Some(socket) = world.agents[agent].open.first().map(|it| it.socket) else { return };
    let key = world.agents[agent].key.clone();
    world.close(agent, socket, Side::Client, Some(1000));
    let now = world.now;
    world.release(&key, now);
}

fn vanish(world: &mut World, agent: usize) {
    let Some(socket) = world.agents[agent].open.first().map(|it| it.socket) else { return };
    let key = world.agents[agent].key.clone();
    world.close(agent, socket, Side::Broken, None);
    let since = world.now;
    world.say(&key.classroom_id);
    world.pass(2_000);
    if world.chance.one_in(2) {
        come(world, agent, Past::Resumed);
    } else {
        world.pass(3_000);
        world.release(&key, since);
    }
}

/// A successor starts, a replica is drained; a few of its agents do not go elsewhere.
fn drain(world: &mut World) {
    let leaving = world.replicas.remove(0);
    let name = format!("replica-{}", world.letting_go.len() + 3);
    world.replicas.push(name);
    world.letting_go.insert(leaving.clone());
    let held = sockets_on(world, &leaving);
    for &(agent, socket) in &held {
        world.told(agent, socket, "terminated", Some(100));
    }
    for &(agent, socket) in &held {
        let key = world.agents[agent].key.clone();
        if world.chance.one_in(4) {
            world.pass(900);
            world.close(agent, socket, Side::Server, Some(4001));
            let now = world.now;
            world.release(&key, now);
        } else {
            come(world, agent, Past::Resumed);
            world.say(&key.classroom_id);
            world.close(agent, socket, Side::Client, Some(1000));
        }
    }
}

/// A replica dies; some of its agents come back in time, the others are swept.
fn kill(world: &mut World) {
    let dead = world.replicas.remove(0);
    let name = format!("replica-{}", world.letting_go.len() + 3);
    world.replicas.push(name);
    world.letting_go.insert(dead.clone());
    let died = world.now;
    world.write(died, "saboteur", Act::Fault { what: "kill".into(), whom: dead.clone() });
    let held = sockets_on(world, &dead);
    for &(agent, socket) in &held {
        world.close(agent, socket, Side::Broken, None);
    }
    for &(agent, _) in &held {
        if world.chance.one_in(2) {
            come(world, agent, Past::Resumed);
        }
    }
    world.pass(15_000);
    let orphans: Vec<_> = world
        .rows
        .iter()
        .filter(|(_, row)| row.replica == dead)
        .map(|(key, row)| (key.clone(), row.claimed_at))
        .collect();
    for (key, claimed_at) in orphans {
        let last_seen = claimed_at.max(died - SECOND);
        world.release(&key, last_seen);
    }
}

/// A replica stands still for less than its lease: late, and no harm done.
fn stop(world: &mut World) {
    let whom = world.replicas[0].clone();
    let began = world.now;
    let held = sockets_on(world, &whom);
    for &(agent, socket) in &held {
        deafen(world, agent, socket, true);
    }
    world.say("room-0");
    world.pass(4_000);
    world.write(began, "saboteur", Act::Fault { what: "stop".into(), whom });
    resync(world, &held);
}

/// The others sweep what it holds; its sockets stay open, and are claimed again once it is back.
fn lapse(world: &mut World) {
    let whom = world.replicas[0].clone();
    let began = world.now;
    let held = sockets_on(world, &whom);
    for &(agent, socket) in &held {
        deafen(world, agent, socket, true);
    }
    world.pass(15_000);
    let rows = world.rows.iter().filter(|(_, row)| row.replica == whom);
    let rows: Vec<_> = rows.map(|(key, row)| (key.clone(), row.claimed_at)).collect();
    for (key, claimed_at) in rows {
        world.release(&key, claimed_at.max(began - 2 * SECOND));
    }
    world.pass(3_000);
    world.write(began, "saboteur", Act::Fault { what: "cut".into(), whom: whom.clone() });
    for &(agent, socket) in &held {
        let key = world.agents[agent].key.clone();
        world.claim(&key, &whom, None);
        if let Some(row) = world.rows.get_mut(&key) {
            row.owner = Some((agent, socket));
        }
    }
    resync(world, &held);
}

/// Neither connect is the later one for those who watch; the database knows.
fn race(world: &mut World) {
    let room = world.chance.below(3) * 6;
    let (first, second) = *world.chance.of(&[(room, room + 5), (room + 5, room)]);
    come(world, first, Past::Unspoken);
    let connected = |entry: &&mut Entry| matches!(entry.act, Act::Connect { .. });
    let began = world.history.iter_mut().rev().find(connected).map(|entry| entry.began);
    come(world, second, Past::Unspoken);
    let last = world.history.iter_mut().rev().find(connected);
    if let (Some(last), Some(began)) = (last, began) {
        last.began = began;
    }
}

fn gap(world: &mut World, agent: usize) {
    let room = world.agents[agent].key.classroom_id.clone();
    let replica = world.chance.of(&world.replicas.clone()).clone();
    let mut held = sockets_on(world, &replica);
    held.retain(|&(agent, _)| world.agents[agent].key.classroom_id == room);
    for &(agent, socket) in &held {
        deafen(world, agent, socket, true);
    }
    for _ in 0..3 {
        world.say(&room);
    }
    resync(world, &held);
}

/// The state comes instead of what was missed.
fn resync(world: &mut World, held: &[(usize, u64)]) {
    for &(agent, socket) in held {
        deafen(world, agent, socket, false);
        let (actor, seq) = (world.agents[agent].actor.clone(), world.seq);
        world.agents[agent].known = seq;
        world.write(world.now, &actor, Act::Resync { socket, seq, agents_total: 1 });
    }
}

fn slow(world: &mut World, agent: usize) {
    let Some(socket) = world.agents[agent].open.first().map(|it| it.socket) else { return };
    let room = world.agents[agent].key.classroom_id.clone();
    deafen(world, agent, socket, true);
    for _ in 0..4 {
        world.say(&room);
    }
    world.told(agent, socket, "slow_consumer", Some(500));
    world.close(agent, socket, Side::Server, Some(4003));
    world.pass(600);
    come(world, agent, Past::Resumed);
}

/// An answer that never came: of a claim that was made, or of one that was not.
fn unknown(world: &mut World, agent: usize) {
    let began = world.now;
    let (key, made) = (world.agents[agent].key.clone(), world.chance.one_in(2));
    world.pass(10);
    if made {
        let replica = world.chance.of(&world.replicas.clone()).clone();
        world.claim(&key, &replica, None);
        world.replace_others(&key, (usize::MAX, 0));
    }
    world.pass(500);
    world.fruitless(agent, began, Outcome::Unknown { why: "no answer in time".into() });
    if made {
        let now = world.now;
        world.pass(5_000);
        world.release(&key, now);
    }
}

fn sockets_on(world: &World, replica: &str) -> Vec<(usize, u64)> {
    let all = world
        .agents
        .iter()
        .enumerate()
        .flat_map(|(index, agent)| agent.open.iter().map(move |it| (index, it)));
    all.filter(|(_, it)| it.replica == replica).map(|(index, it)| (index, it.socket)).collect()
}

fn deafen(world: &mut World, agent: usize, socket: u64, deaf: bool) {
    world.agents[agent].open.iter_mut().filter(|it| it.socket == socket).for_each(|it| it.deaf = deaf);
}
