//! The process under measurement: started on a CPU of its own, looked at through `/proc`, killed when dropped. What is
//! killed has nothing worth keeping: its data is thrown away too.

use crate::machine;
use anyhow::{Context, Result, bail};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// Memory in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// Resident, with what it shares counted in part.
    pub(crate) proportional: u64,
}

impl Process {
    /// Starts a program with nothing in its environment but `env`. The kernel ends it should the benchmark die.
    pub(crate) fn start(program: &Path, args: &[&str], env: &[(&str, String)], log: PathBuf) -> Result<Self> {
        let file = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(cpu) = machine::server_cpu() {
            command.args(["taskset", "-c", cpu]);
        }
        command.arg(program).args(args).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file.try_clone().context("share the log")?).stderr(file);
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        Ok(Self { child, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks again and again until there is an answer; fails when the process has ended, or after a while.
    pub(crate) async fn wait_for<T>(
        &mut self,
        what: &str,
        mut ask: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        const PATIENCE: Duration = Duration::from_secs(30);
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("look after the server")? {
                bail!("the server ended by itself ({status}) and said:\n{}", self.said());
            }
            if let Some(answer) = ask(self).await {
                return Ok(answer);
            }
            if started.elapsed() > PATIENCE {
                bail!("no {what} within {} s; the server said:\n{}", PATIENCE.as_secs(), self.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("its id is no process id")?;
        kill_process(id, signal).with_context(|| format!("send a signal to process {id:?}"))
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        const LOOK_EVERY: Duration = Duration::from_millis(10);
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("look after the server")? {
                return Ok(status);
            }
            if started.elapsed() > within {
                bail!("the server still runs after {} s; it said:\n{}", within.as_secs(), self.said());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let path = format!("/proc/{}/smaps_rollup", self.id());
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        memory(&text).with_context(|| format!("find Rss and Pss in {path}"))
    }

    /// CPU seconds in user mode and in the kernel, of all threads.
    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu_of(&self.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU seconds of a process by its id, or of ourselves: `self`.
pub(crate) fn cpu_of(process: &str) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let ticks = cpu_ticks(&text).with_context(|| format!("find utime and stime in {path}"))?;
    Ok(ticks / machine::ticks_per_second())
}

fn memory(rollup: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Memory { resident: field("Rss:")?, proportional: field("Pss:")? })
}

/// The name in parentheses may hold anything, so fields are counted from behind it.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_understood() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 31 12 0 0 20 0 1 0 99 1 2";
        assert_eq!(cpu_ticks(stat), Some(43.0));
        let rollup = "00-ff ---p 0 00:00 0 [rollup]\nRss:    1234 kB\nPss:  1200 kB\nPss_Dirty: 7 kB\n";
        assert_eq!(memory(rollup), Some(Memory { resident: 1234, proportional: 1200 }));
    }

    #[test]
    fn our_own_cpu_time_can_be_read() {
        assert!(cpu_of("self").is_ok());
    }
}
