//! A `presence` process: started with exactly the settings it is given, its output in files, ended by its own id.

use crate::{environment, log::Log, wait};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

/// Settings by their keys, as `session.leave_grace`.
pub type Settings = BTreeMap<String, String>;

/// The binary with these settings and nothing else of ours in its environment.
pub fn command(settings: &Settings, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(environment::presence()?);
    command.args(args).env_clear().stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
        command.envs(std::env::var_os(name).map(|value| (OsString::from(name), value)));
    }
    command.env("RUST_BACKTRACE", "1");
    for (key, value) in settings {
        command.env(variable(key), value);
    }
    Ok(command)
}

fn variable(key: &str) -> String {
    format!("PRESENCE_{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Runs it to its end.
pub fn output(settings: &Settings, args: &[&str]) -> Result<Output> {
    command(settings, args)?.output().with_context(|| format!("run presence {}", args.join(" ")))
}

/// A server gives up its sessions for as long as it drains, and some seconds more.
const LONGEST_END: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Process {
    child: Child,
    pub log: Log,
    stdout: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts it; what it prints goes to `{name}.out` and `{name}.log` in the folder.
    pub fn start(folder: &Path, name: &str, settings: &Settings, args: &[&str]) -> Result<Self> {
        Self::spawn(folder, name, command(settings, args)?)
    }

    /// The same with a command of the caller's making.
    pub fn spawn(folder: &Path, name: &str, mut command: Command) -> Result<Self> {
        let (stdout, stderr) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.log")));
        let create = |path: &Path| File::create(path).with_context(|| format!("make {}", path.display()));
        command.stdout(create(&stdout)?).stderr(create(&stderr)?);
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { child, log: Log::at(&stderr), stdout, ended: None })
    }

    pub fn stdout(&self) -> Result<String> {
        fs::read_to_string(&self.stdout).context("read what the process printed")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().context("look whether the process has ended")?;
        }
        Ok(self.ended)
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> Result<ExitStatus> {
        let ended = async || self.ended()?.context("it still runs");
        wait::eventually_within(LONGEST_END, "the process to end", ended).await
    }

    /// Sends a signal by name, as `TERM`.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        ensure!(self.ended()?.is_none(), "there is no process any more to send SIG{name} to");
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        match sent.context("run kill")? {
            status if status.success() => Ok(()),
            status => bail!("kill -{name}: {status}"),
        }
    }

    /// Ends it without a word, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("kill the process")?;
        self.ended = Some(self.child.wait().context("wait for the killed process")?);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // It may have ended in the meantime, which is as good.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
