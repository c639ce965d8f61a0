//! Three replicas of one service: each a process with a link of its own to the database and to NATS.
//!
//! A place (a, b, c, and d for a surge) keeps its links; whoever starts in it is a new replica with a label of its own, as a new pod is.
//! What is done to them is written into the history.

use crate::{
    Link, Mode, Server,
    crowd::Targets,
    database::{Database, set_host},
    history::{History, now},
    log::Log,
    nats_server::NatsServer,
    process::{self, Process, Settings},
    redis_server::RedisServer,
    stack::INTERNAL_SECRET,
    tokens::Tokens,
    wait,
};
use anyhow::{Context, Result, anyhow, ensure};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use url::Url;

/// How many replicas there are in quiet times.
pub const REPLICAS: usize = 3;
/// One more than replicas, so that a successor can be there before its predecessor goes.
const PLACES: [&str; REPLICAS + 1] = ["a", "b", "c", "d"];

/// The place of one replica after another.
#[derive(Debug)]
pub struct Replica {
    /// Of the one that runs, or ran last.
    pub label: String,
    pub store: Link,
    pub bus: Link,
    /// Where there is a Redis.
    pub cache: Option<Link>,
    running: Option<(Process, Server)>,
    starts: usize,
    /// When it was stopped, while it is.
    frozen_at: Option<i64>,
}

#[derive(Debug)]
pub struct Cluster {
    pub nats: NatsServer,
    /// The lesson state's; with it the Socket.IO door is open.
    pub redis: Option<RedisServer>,
    pub database: Database,
    pub replicas: Vec<Replica>,
    pub targets: Targets,
    pub history: History,
    folder: PathBuf,
    settings: Settings,
    tokens: Arc<Tokens>,
    /// Of all that ever ran, and whether it was to die by itself.
    logs: Vec<(Log, bool)>,
}

/// Short leases and much pinging, so that a scenario takes seconds. On a busy machine so short a lease may lapse
/// between two renewals; within the return window that harms nobody.
const QUICK: &[(&str, &str)] = &[
    ("session.lease_ttl", "2s"),
    ("session.lease_renew", "300ms"),
    ("session.return_window", "2s"),
    ("session.leave_grace", "1500ms"),
    ("session.drain_timeout", "4s"),
    ("native.ping_interval", "1s"),
    ("native.pong_timeout", "950ms"),
    ("socketio.ping_interval", "1s"),
    ("socketio.ping_timeout", "950ms"),
    ("public.addr", "127.0.0.1:0"),
    ("internal.addr", "127.0.0.1:0"),
    ("metrics.addr", "127.0.0.1:0"),
    ("internal.secret", INTERNAL_SECRET),
    ("log.format", "json"),
    ("log.level", "info,presence=debug"),
];

impl Cluster {
    /// On an empty database and a NATS server of its own; nobody runs yet.
    pub async fn new(
        folder: &Path,
        history: &History,
        database: Database,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let nats = NatsServer::start(&folder.join("nats")).await?;
        let data_dir = folder.join("data");
        let both = QUICK.iter().chain(settings);
        let mut settings: Settings = both.map(|&(key, value)| (key.into(), value.into())).collect();
        settings.insert("data_dir".into(), data_dir.display().to_string());
        let mut replicas = vec![];
        for place in PLACES {
            let (store, bus) = (Link::to(database.address()?).await?, Link::to(nats.address).await?);
            let label = place.to_owned();
            replicas.push(Replica {
                label,
                store,
                bus,
                cache: None,
                running: None,
                starts: 0,
                frozen_at: None,
            });
        }
        let cluster = Self {
            nats,
            redis: None,
            database,
            replicas,
            targets: Targets::default(),
            history: history.clone(),
            folder: folder.to_owned(),
            settings,
            tokens: Arc::new(Tokens::new(&data_dir)),
            logs: vec![],
        };
        cluster.migrate()?;
        Ok(cluster)
    }

    /// A Redis of its own, with a link for each replica that starts from here on.
    pub async fn open_to_apps(&mut self) -> Result<()> {
        let redis = RedisServer::start(&self.folder.join("redis")).await?;
        for replica in &mut self.replicas {
            replica.cache = Some(Link::to(redis.address).await?);
        }
        self.redis = Some(redis);
        Ok(())
    }

    fn migrate(&self) -> Result<()> {
        let mut settings = self.settings.clone();
        settings.insert("store.url".into(), self.database.url().to_string());
        let output = process::output(&settings, &["migrate"])?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "presence migrate: {}\n{complaint}", output.status);
        Ok(())
    }

    /// What the product itself says of its store, once all is quiet: nothing is younger than it may be.
    pub fn verify(&self) -> Result<()> {
        let mut settings = self.settings.clone();
        settings.insert("store.url".into(), self.database.url().to_string());
        let output = process::output(&settings, &["verify", "--settled", "0s"])?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "presence verify:\n{}", String::from_utf8_lossy(&said));
        Ok(())
    }

    pub fn tokens(&self) -> Arc<Tokens> {
        self.tokens.clone()
    }

    fn settings_of(&self, replica: &Replica) -> Result<Settings> {
        let mut nats: Url = self.nats.url()?;
        set_host(&mut nats, replica.bus.address)?;
        let mut settings = self.settings.clone();
        settings.insert("replica.label".into(), replica.label.clone());
        settings.insert("store.url".into(), self.database.url_by(replica.store.address)?.to_string());
        settings.insert("bus.url".into(), nats.to_string());
        if let Some(cache) = &replica.cache {
            settings.insert("redis.url".into(), format!("redis://{}", cache.address));
        }
        Ok(settings)
    }

    /// Starts a replica in each of these places at once, and returns when all are ready.
    pub async fn start(&mut self, places: &[usize]) -> Result<()> {
        self.start_to_crash(places, None).await
    }

    /// The same; with `CRASH_AT` set, they die at that point.
    pub async fn start_to_crash(&mut self, places: &[usize], crash_at: Option<&str>) -> Result<()> {
        let mut started = vec![];
        for &place in places {
            let replica = &mut self.replicas[place];
            ensure!(replica.running.is_none(), "somebody runs in place {place} already");
            replica.starts += 1;
            replica.label = format!("{}{}", PLACES[place], replica.starts);
            let replica = &self.replicas[place];
            let mut command = process::command(&self.settings_of(replica)?, &["serve"])?;
            command.envs(crash_at.map(|point| ("CRASH_AT", point)));
            let process = Process::spawn(&self.folder, &replica.label, command)?;
            self.logs.push((process.log.clone(), crash_at.is_some()));
            started.push((place, process));
        }
        for (place, process) in started {
            self.ready(place, process).await?;
        }
        Ok(())
    }

    async fn ready(&mut self, place: usize, mut process: Process) -> Result<()> {
        let log = process.log.clone();
        let listening =
            wait::eventually_within(3 * wait::PATIENCE, "a replica to listen", async || {
                match log.find("listening") {
                    Ok(entry) => Ok(Ok(entry)),
                    Err(not_yet) => match process.ended()? {
                        Some(status) => {
                            Ok(Err(anyhow!("a replica ended at its start: {status}\n{}", log.tail())))
                        }
                        None => Err(not_yet),
                    },
                }
            })
            .await??;
        let server = Server::new(&listening, log.clone(), self.tokens.clone(), place)?;
        if self.replicas[place].bus.mode() == Mode::Pass {
            // Whoever connects before would be brought up to date later, by a resync.
            wait::eventually("a replica to reach NATS", async || log.find("connected to NATS")).await?;
        }
        server.expect_ready().await?;
        self.targets.set(place, Some(server.public));
        self.replicas[place].running = Some((process, server));
        Ok(())
    }

    pub fn label(&self, place: usize) -> String {
        self.replicas[place].label.clone()
    }

    pub fn server(&self, place: usize) -> Result<&Server> {
        let running = self.replicas[place].running.as_ref();
        running.map(|(_, server)| server).with_context(|| format!("nobody runs in place {place}"))
    }

    fn process(&mut self, place: usize) -> Result<&mut Process> {
        let running = self.replicas[place].running.as_mut();
        running.map(|(process, _)| process).with_context(|| format!("nobody runs in place {place}"))
    }

    /// SIGKILL. Its address stays known to clients: nobody has told them yet.
    pub fn kill(&mut self, place: usize) -> Result<()> {
        self.process(place)?.kill()?;
        self.history.fault("kill", &self.label(place));
        let replica = &mut self.replicas[place];
        replica.running = None;
        // Whatever stopped it before, that is over with it.
        if let Some(began) = replica.frozen_at.take() {
            self.history.fault_since(began, "stop", &replica.label);
        }
        Ok(())
    }

    /// Waits for one that was started to crash.
    pub async fn expect_crash(&mut self, place: usize) -> Result<()> {
        let began = now();
        let process = self.process(place)?;
        let ended = async || process.ended()?.context("it still runs");
        let status =
            wait::eventually_within(4 * wait::PATIENCE, "the replica to pass the point and die", ended)
                .await?;
        ensure!(!status.success() && status.code().is_none(), "it did not crash, it ended: {status}");
        self.history.fault_since(began, "kill", &self.label(place));
        self.replicas[place].running = None;
        Ok(())
    }

    /// SIGSTOP.
    pub fn freeze(&mut self, place: usize) -> Result<()> {
        self.process(place)?.signal("STOP")?;
        self.replicas[place].frozen_at = Some(now());
        Ok(())
    }

    /// SIGCONT.
    pub fn thaw(&mut self, place: usize) -> Result<()> {
        self.process(place)?.signal("CONT")?;
        let began = self.replicas[place].frozen_at.take().context("it was not stopped")?;
        self.history.fault_since(began, "stop", &self.label(place));
        Ok(())
    }

    /// SIGTERM; its address is taken from the clients, as from a Service.
    pub fn terminate(&mut self, place: usize) -> Result<()> {
        self.targets.set(place, None);
        self.process(place)?.signal("TERM")?;
        self.history.fault("terminate", &self.label(place));
        Ok(())
    }

    /// SIGTERM once more.
    pub fn terminate_again(&mut self, place: usize) -> Result<()> {
        self.process(place)?.signal("TERM")
    }

    /// Nobody holds a session for this one any more: it was swept, or everybody is elsewhere.
    pub async fn expect_swept(&self, place: usize) -> Result<()> {
        let label = self.label(place);
        let held = format!(
            "SELECT count(*) FROM agent_session s JOIN replica r ON r.id = s.replica_id WHERE r.label = '{label}'"
        );
        wait::eventually_within(6 * wait::PATIENCE, "its sessions to be swept", async || {
            let held = self.database.query(&held)?;
            ensure!(held == "0", "{label} still holds {held} sessions");
            Ok(())
        })
        .await
    }

    /// All replicas know whether their store or bus is `up` or `down`.
    pub async fn expect_readyz(&self, says: &str) -> Result<()> {
        for server in self.servers() {
            wait::eventually_within(6 * wait::PATIENCE, "a replica to notice", async || {
                let ready = server.health("/readyz").await?;
                ensure!(ready.body.contains(says), "expected {says}: {ready:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// The sum over all that run of a metric; those who do not have it count nothing.
    pub async fn metric(&self, name: &str) -> u64 {
        let mut sum = 0;
        for server in self.servers() {
            sum += server.metric(name).await.unwrap_or(0);
        }
        sum
    }

    /// Waits for the clean end of one that was told to.
    pub async fn expect_end(&mut self, place: usize) -> Result<()> {
        let status = self.process(place)?.end().await?;
        ensure!(status.success(), "after SIGTERM it ended with {status}");
        self.replicas[place].running = None;
        Ok(())
    }

    /// Those that run.
    pub fn running(&self) -> Vec<usize> {
        (0..PLACES.len()).filter(|&place| self.replicas[place].running.is_some()).collect()
    }

    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.replicas.iter().filter_map(|replica| replica.running.as_ref().map(|(_, server)| server))
    }

    /// What no log may hold: panics, and what went past the logger. Those who were to crash may say so.
    pub fn objections(&self) -> Result<Vec<String>> {
        let mut objections = vec![];
        // Whatever is warned of is expected here.
        let anything = [String::new()];
        for (log, crashed) in &self.logs {
            if !crashed {
                objections.extend(log.objections(&anything)?);
            }
        }
        Ok(objections)
    }

    pub fn tails(&self) -> String {
        let tail = |(log, _): &(Log, bool)| format!("--- {}, its end:\n{}", log.name(), log.tail());
        self.logs.iter().map(tail).collect::<Vec<_>>().join("\n")
    }

    /// Ends what still runs, cleanly.
    pub async fn finish(&mut self) -> Result<()> {
        let running = self.running();
        for &place in &running {
            self.process(place)?.signal("TERM")?;
        }
        for place in running {
            self.expect_end(place).await?;
        }
        Ok(())
    }
}
