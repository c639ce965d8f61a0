//! The swarm as a command: its phases in time, the line of each second, and the end.

use super::{
    Args, Swarm,
    board::Board,
    directory::{self, Directory},
    sibling::{Sibling, Speech},
    witness::Witness,
    world::{Phase, World},
};
use crate::{machine, say};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::{fs, path::Path, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// How often servers and token are looked after; every fifth time there is a line.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: u32 = 5;
/// Agents that have not come in by then do not keep the others from what they are to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// All good-byes together.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Whoever stays open stays no longer than this.
const OPEN_WITHIN: Duration = Duration::from_hours(24);

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// What looks after a swarm while it lives.
struct Keeper {
    args: Args,
    swarm: Swarm,
    signals: Signals,
    witness: Option<(Witness, u64)>,
    began: Instant,
    looks: u32,
    announced: bool,
    trouble: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let plan = args.plan()?;
    machine::check_open_files(args.agents)?;
    if let Err(error) = machine::check_open_files(args.agents * 2) {
        say(&format!("should all agents move at once, some will fail at first: {error}"));
    }
    let servers = Directory::new(&args.servers()?);
    let witness = match &args.events.nats {
        Some(nats) if args.witness => {
            let witness = Witness::connect(nats, &args.events.stream, &args.name).await?;
            let (_, end) = witness.ends().await?;
            Some((witness, end))
        }
        _ => None,
    };
    let mut world = World::new(plan, servers, args.purse()?, args.recorder()?);
    if let Some(mint) = args.app_mint()? {
        world = world.with_mint(mint);
    }
    let signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let swarm = Swarm::start(world);
    say(&format!("{} agents begin on {} servers", args.agents, swarm.world.servers.len()));
    let began = Instant::now();
    let keeper = Keeper { args, swarm, signals, witness, began, looks: 0, announced: false, trouble: None };
    keeper.run().await
}

impl Args {
    fn servers(&self) -> Result<Vec<std::net::SocketAddr>> {
        match &self.servers_file {
            Some(file) => servers_in(file),
            None => Ok(self.servers.clone()),
        }
    }
}

fn servers_in(file: &Path) -> Result<Vec<std::net::SocketAddr>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    directory::parse(&text).with_context(|| format!("understand {}", file.display()))
}

impl Keeper {
    async fn run(mut self) -> Result<()> {
        let sibling = self.sibling().await?;
        let until = self.began + self.args.lasts;
        let ended_by_hand = self.watch(until).await;
        self.swarm.world.go_on(Phase::Calm);
        if let Some(sibling) = sibling {
            sibling.fall_silent().await;
        }
        if self.args.leave_open {
            if !ended_by_hand {
                say("swarm: calm");
                self.watch(Instant::now() + OPEN_WITHIN).await;
            }
        } else {
            let late = self.swarm.stop(STOP_WITHIN).await;
            if late > 0 {
                say(&format!("{late} agents could not say good-bye in time, and vanished"));
            }
        }
        self.finish().await
    }

    async fn sibling(&self) -> Result<Option<Sibling>> {
        let events = &self.args.events;
        let Some(nats) = events.nats.clone().filter(|_| events.events_per_second > 0.0) else {
            return Ok(None);
        };
        let speech = Speech { nats, per_second: events.events_per_second, bytes: events.event_bytes };
        Sibling::start(speech, self.swarm.world.clone()).await.map(Some)
    }

    /// Looks after the swarm until then, or until a signal. Whether it was one.
    async fn watch(&mut self, until: Instant) -> bool {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = self.signals.terminate.recv() => return true,
                _ = self.signals.interrupt.recv() => return true,
                () = sleep_until(until) => return false,
                _ = looks.tick() => self.look().await,
            }
        }
    }

    async fn look(&mut self) {
        self.looks += 1;
        self.swarm.bury();
        self.announce();
        if self.swarm.all_in() || self.began.elapsed() > PATIENCE {
            self.swarm.world.go_on(Phase::Wild);
        }
        if let Some(file) = &self.args.servers_file {
            // While it is being written it may be empty: the old list stands.
            if let Ok(servers) = servers_in(file) {
                self.swarm.world.servers.set(&servers);
            }
        }
        if self.looks.is_multiple_of(LINE_EVERY) {
            self.renew().await;
            let line = self.swarm.world.board().line();
            say(&line);
            if let Some(recorder) = self.swarm.world.recorder() {
                recorder.flush();
            }
        }
    }

    /// Minting takes a moment, which agents should not notice.
    async fn renew(&mut self) {
        let world: Arc<World> = self.swarm.world.clone();
        let now = world.clock.now() / 1_000_000;
        if !world.purse.is_due(now) {
            return;
        }
        let renewed = tokio::task::spawn_blocking(move || world.purse.renew(now)).await;
        if let Ok(Err(error)) = renewed {
            let trouble = format!("no new token: {error:#}");
            if self.trouble.as_ref() != Some(&trouble) {
                say(&trouble);
                self.trouble = Some(trouble);
            }
        }
    }

    fn announce(&mut self) {
        if self.announced || !self.swarm.all_in() {
            return;
        }
        self.announced = true;
        say("swarm: all in");
        if let Some(file) = &self.args.ready_file
            && let Err(error) = fs::write(file, "all in\n")
        {
            self.trouble = Some(format!("write {}: {error}", file.display()));
            say(&format!("write {}: {error}", file.display()));
        }
    }

    async fn finish(mut self) -> Result<()> {
        let world = self.swarm.world.clone();
        let mut summary = summary_of(&world.board(), &world, self.began);
        if self.args.leave_open {
            // From here on, what was open is broken.
            self.swarm.abandon().await;
        }
        if let (Some((witness, after)), Some(recorder)) = (&self.witness, world.recorder()) {
            witness.quiet(self.args.witness_after).await?;
            let witnessed = witness.tell(*after, recorder, world.clock.now()).await?;
            summary.insert("witnessed".into(), json!(witnessed));
        }
        let lines = world.recorder().map(super::recorder::Recorder::finish).transpose();
        summary.insert("history_lines".into(), json!(lines.as_ref().ok()));
        if self.args.json {
            println!("{}", Value::Object(summary));
        } else {
            println!("{:#}", Value::Object(summary));
        }
        lines?;
        if world.board().been_in == 0 {
            let why = world.board().first_failure.clone().unwrap_or_else(|| "all were refused".into());
            bail!("no agent ever came in: {why}");
        }
        Ok(())
    }
}

fn summary_of(board: &Board, world: &World, began: Instant) -> Map<String, Value> {
    let mut summary = Map::new();
    summary.insert("name".into(), json!(world.plan.name));
    summary.insert("agents".into(), json!(world.plan.agents));
    summary.insert("classrooms".into(), json!(world.plan.classrooms));
    summary.insert("seconds".into(), json!(began.elapsed().as_secs_f64()));
    summary.append(&mut board.summary());
    summary
}
