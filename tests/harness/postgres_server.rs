//! A PostgreSQL server of a scenario's own, which can be stopped, started and followed by a standby that lags.

use crate::{database::psql, environment, nats_server::free_address, wait};
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use url::Url;

/// A crash of the machine may eat the data, one of PostgreSQL may not. A standby is asynchronous: it may lag.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=120",
    "fsync=off",
    "full_page_writes=off",
    "timezone=UTC",
    "shared_buffers=32MB",
    "synchronous_commit=on",
    "wal_receiver_timeout=10min",
];

#[derive(Debug)]
pub struct PostgresServer {
    pub address: SocketAddr,
    folder: PathBuf,
    run_as: Option<(u32, u32)>,
    child: Option<Child>,
    starts: usize,
}

impl PostgresServer {
    /// Makes a cluster in this folder and starts it.
    pub async fn start(folder: &Path) -> Result<Self> {
        let mut server = Self::stopped(folder)?;
        let mut initdb = server.program("initdb")?;
        initdb.arg("--pgdata").arg(server.data()).args(["--username=postgres", "--auth=trust"]);
        initdb.args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
        finish(initdb)?;
        server.run().await?;
        Ok(server)
    }

    /// Makes a copy of a running server, which follows it by this way, and starts it.
    pub async fn standby(folder: &Path, primary_by: SocketAddr) -> Result<Self> {
        let mut server = Self::stopped(folder)?;
        let primary = format!("host={} port={} user=postgres", primary_by.ip(), primary_by.port());
        let mut copy = server.program("pg_basebackup")?;
        copy.arg("--pgdata").arg(server.data()).args(["--write-recovery-conf", "--checkpoint=fast"]);
        copy.args(["--wal-method=stream", "--no-sync", "--dbname", &primary]);
        finish(copy)?;
        server.run().await?;
        Ok(server)
    }

    fn stopped(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).context("make PostgreSQL its folder")?;
        let run_as = other_user()?;
        if let Some((user, group)) = run_as {
            chown(folder, Some(user), Some(group)).context("hand PostgreSQL its folder")?;
            // It has to pass through the scenario's own folder.
            let parent = folder.parent().context("a folder lies in another")?;
            fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).context("open the folder")?;
        }
        Ok(Self { address: free_address()?, folder: folder.to_owned(), run_as, child: None, starts: 0 })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(environment::postgres_program(name)?);
        command.current_dir(&self.folder).stdin(Stdio::null());
        if let Some((user, group)) = self.run_as {
            command.uid(user).gid(group);
        }
        Ok(command)
    }

    /// Starts it where it was, and returns once it answers.
    pub async fn run(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "PostgreSQL runs already");
        self.starts += 1;
        let log = self.folder.join(format!("postgres-{}.log", self.starts));
        let mut postgres = self.program("postgres")?;
        postgres.arg("-D").arg(self.data()).arg("-p").arg(self.address.port().to_string());
        postgres.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let output = File::create(&log).context("make PostgreSQL its log")?;
        postgres.stdout(output.try_clone().context("share the log")?).stderr(output);
        self.child = Some(postgres.spawn().context("start postgres")?);
        let answers = async || {
            let text = || fs::read_to_string(&log).unwrap_or_default();
            self.query("SELECT 1").map(drop).with_context(|| format!("its log:\n{}", text()))
        };
        wait::eventually_within(4 * wait::PATIENCE, "PostgreSQL to answer", answers).await
    }

    /// At once, and without waiting for anybody: what was committed stays.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let told = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
        ensure!(told.context("run kill")?.success(), "PostgreSQL could not be told to stop");
        let ended = async || child.try_wait().context("look after PostgreSQL")?.context("it still runs");
        wait::eventually("PostgreSQL to stop", ended).await.map(drop)
    }

    /// Makes a standby the one that is written to.
    pub fn promote(&self) -> Result<()> {
        let promoted = self.query("SELECT pg_promote(true, 60)")?;
        ensure!(promoted == "t", "the standby was not promoted: {promoted}");
        Ok(())
    }

    /// A superuser's URL.
    pub fn url(&self) -> Result<Url> {
        format!("postgres://postgres@{}/postgres", self.address).parse().context("an address makes a URL")
    }

    pub fn query(&self, sql: &str) -> Result<String> {
        psql(&self.url()?, sql)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // QUIT, so that its own children end with it and leave no shared memory behind.
            let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

fn finish(mut command: Command) -> Result<()> {
    let output = command.output().context("run a program of PostgreSQL")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// PostgreSQL refuses to run as root: then it runs as the user that its package made, or nobody.
fn other_user() -> Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self").context("find out who runs the tests")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("read the list of users")?;
    let ids = |name: &str| {
        let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let fields = lines.find(|fields| fields[0] == name)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let found = ["postgres", "nobody"].into_iter().find_map(ids);
    found.map(Some).context("find a user `postgres` or `nobody`: PostgreSQL does not run as root")
}
