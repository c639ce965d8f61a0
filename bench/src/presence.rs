//! The server under measurement with all that it needs: its ports, its store and bus, its folder, a token. Its limits
//! on newcomers are raised, because all of them come from one address; everything else is as delivered.

use crate::{
    agent::Target,
    app::ORG,
    http,
    mint::Mint,
    process::Process,
    services::{Database, STREAM, Services},
};
use anyhow::{Context, Result, bail};
use presence_api::http::{Attendance, Stay};
use presence_core::close::Reason;
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;

/// Fields are dropped in this order: the process ends before what it uses is removed.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) process: Process,
    pub(crate) public: SocketAddr,
    metrics: SocketAddr,
    home: Arc<Home>,
}

/// What replicas share: a store and a bus, a folder with the key that signs tokens, a token.
#[derive(Debug)]
struct Home {
    program: PathBuf,
    settings: Settings,
    token: Arc<str>,
    /// Replicas that were started here so far.
    started: AtomicUsize,
    database: Option<Database>,
    folder: TempDir,
}

const AUDIENCE: &str = "bench.example";

type Settings = Vec<(&'static str, String)>;

impl Presence {
    /// On PostgreSQL and NATS; without them alone, on SQLite and its own bus. Returns once it is ready.
    pub(crate) async fn start(services: Option<&Services>) -> Result<Self> {
        Self::at(Arc::new(Home::open(services).await?)).await
    }

    /// The same with the Socket.IO door, and these lessons of `app::ORG`; what it needs to know is in its Redis.
    pub(crate) async fn start_apps(services: &Services, redis: String, lessons: usize) -> Result<Self> {
        let mut home = Home::open(Some(services)).await?;
        home.settings.push(("PRESENCE_REDIS__URL", redis));
        home.settings.push(("PRESENCE_INTERNAL__SECRET", "the-internal-secret-of-one-benchmark".into()));
        if let Some(database) = &home.database {
            add_lessons(database, lessons)?;
        }
        Self::at(Arc::new(home)).await
    }

    /// Signs tokens as this server does.
    pub(crate) fn mint(&self) -> Result<Mint> {
        let args =
            ["token", "--account", "student", "--audience", AUDIENCE, "--org", ORG, "--role", "student"];
        let template = command(&self.home.program, &args, &self.home.settings)?;
        Mint::like(template.trim(), &self.home.folder.path().join("token-key.pem"))
    }

    /// So many replicas on one database and one stream.
    pub(crate) async fn start_many(services: &Services, replicas: usize) -> Result<Vec<Self>> {
        let home = Arc::new(Home::open(Some(services)).await?);
        let mut started = Vec::with_capacity(replicas);
        for _ in 0..replicas {
            started.push(Self::at(home.clone()).await?);
        }
        Ok(started)
    }

    /// Another replica beside this one. Returns once it is ready.
    pub(crate) async fn start_beside(&self) -> Result<Self> {
        Self::at(self.home.clone()).await
    }

    async fn at(home: Arc<Home>) -> Result<Self> {
        let number = home.started.fetch_add(1, Ordering::Relaxed);
        let [public, internal, metrics] = free_addresses()?;
        let mut env = home.settings.clone();
        env.extend([
            ("PRESENCE_REPLICA__LABEL", format!("bench-{number}")),
            ("PRESENCE_PUBLIC__ADDR", public.to_string()),
            ("PRESENCE_INTERNAL__ADDR", internal.to_string()),
            ("PRESENCE_METRICS__ADDR", metrics.to_string()),
        ]);
        let log = home.folder.path().join(format!("presence-{number}.log"));
        let mut process = Process::start(&home.program, &["serve"], &env, log)?;
        process.wait_for("readiness", async |_| http::get(metrics, "/readyz").await.ok()).await?;
        Ok(Self { process, public, metrics, home })
    }

    pub(crate) fn target(&self) -> Target {
        Target { address: self.public, token: self.token() }
    }

    pub(crate) fn token(&self) -> Arc<str> {
        self.home.token.clone()
    }

    /// Sockets that it closed for this reason.
    pub(crate) async fn closes(&self, reason: Reason) -> Result<f64> {
        let page = http::get(self.metrics, "/metrics").await?;
        let label = format!("{{reason=\"{}\"}}", reason.row().name);
        let lines: Vec<&str> = page.lines().filter(|line| line.contains(&label)).collect();
        Ok(http::metric(&lines.join("\n"), "closes").unwrap_or_default())
    }

    /// Who was in a classroom, and from when to when.
    pub(crate) async fn attendance(&self, classroom: &str) -> Result<Vec<Stay>> {
        const PAGE: usize = 1_000;
        let (mut stays, mut after) = (vec![], 0);
        loop {
            let path = format!("/api/v1/classrooms/{classroom}/attendance?after={after}&limit={PAGE}");
            let body = http::get_as(self.public, &path, &self.token()).await?;
            let page: Attendance = serde_json::from_str(&body).context("understand the attendance")?;
            stays.extend(page.stays);
            match page.next {
                Some(next) if next > after => after = next,
                _ => return Ok(stays),
            }
        }
    }

    /// Statements that the store has run so far; none where they are not counted.
    pub(crate) async fn statements(&self) -> Result<Option<f64>> {
        let page = http::get(self.metrics, "/metrics").await?;
        Ok(http::metric(&page, "store_statements"))
    }
}

impl Home {
    async fn open(services: Option<&Services>) -> Result<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().context("make a folder for the server")?;
        let mut settings: Settings = vec![
            ("PRESENCE_DATA_DIR", folder.path().display().to_string()),
            ("PRESENCE_LOG__LEVEL", "warn".into()),
            ("PRESENCE_LOG__FORMAT", "json".into()),
            ("PRESENCE_NATIVE__MAX_UNAUTHENTICATED", "20000".into()),
            ("PRESENCE_NATIVE__MAX_UNAUTHENTICATED_PER_ADDRESS", "20000".into()),
        ];
        let database = services.map(Services::database).transpose()?;
        match (services, &database) {
            (Some(services), Some(database)) => {
                services.forget_stream().await;
                settings.push(("PRESENCE_STORE__URL", database.url.clone()));
                settings.push(("PRESENCE_BUS__URL", services.nats.clone()));
                settings.push(("PRESENCE_BUS__STREAM", STREAM.into()));
            }
            _ => settings.push(("PRESENCE_BUS__URL", "in-process".into())),
        }
        command(&program, &["migrate"], &settings)?;
        let mint = ["token", "--account", "bench", "--audience", AUDIENCE, "--ttl", "2h"];
        let token = command(&program, &mint, &settings)?.trim().into();
        Ok(Self { program, settings, token, started: AtomicUsize::new(0), database, folder })
    }
}

/// The lessons `bench-0`, `bench-1`, … as the classroom's backend would write them, with a seat for each student.
pub(crate) fn add_lessons(database: &Database, lessons: usize) -> Result<()> {
    let statement = format!(
        "INSERT INTO lesson (id, org_id, room_id) \
         SELECT 'bench-' || n, '{ORG}', 'room-' || n FROM generate_series(0, {lessons} - 1) n"
    );
    database.sql(&statement).context("add lessons")?;
    Ok(())
}

fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PRESENCE_BENCH_BIN").context(
        "PRESENCE_BENCH_BIN is not set: it is a release build of presence (`cargo xtask bench` sets it)",
    )?;
    Ok(path.into())
}

/// Runs a subcommand to its end and returns what it prints.
fn command(program: &Path, args: &[&str], env: &Settings) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    let output = command.output().with_context(|| format!("run {} {}", program.display(), args[0]))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("presence {} failed ({}): {}", args[0], output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("presence {}: not UTF-8", args[0]))
}

/// Free now, and most likely still when the server binds them.
fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).context("find a free port")?;
        *address = listener.local_addr().context("find a free port")?;
        held.push(listener);
    }
    Ok(addresses)
}
