//! A server's life: started on a free port, waited for by condition, stopped when dropped. Where `setpriv` is there,
//! the kernel kills the server should xtask itself be killed. Knows nothing about what it runs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::process;

/// What to start, and how to tell that it serves. Both are asked with the port.
pub(crate) struct Launch<'a> {
    pub(crate) name: &'static str,
    /// Where it works and keeps everything; its log lies here.
    pub(crate) folder: &'a Path,
    pub(crate) command: &'a dyn Fn(u16) -> Vec<OsString>,
    pub(crate) ready: &'a dyn Fn(u16) -> bool,
    /// User and group to run as, if not our own.
    pub(crate) run_as: Option<(u32, u32)>,
    /// What makes it leave at once and in order.
    pub(crate) stop: Signal,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) port: u16,
    name: &'static str,
    child: Child,
    stop: Signal,
}

const READY_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// Another process may take a port between our finding it free and the server's binding it.
const ATTEMPTS: usize = 3;

impl Server {
    pub(crate) fn start(launch: &Launch<'_>) -> Result<Self> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            process::check_interrupted()?;
            match Self::attempt(launch) {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        process::check_interrupted()?;
        Err(last.context("no attempt was made")?).with_context(|| format!("start {}", launch.name))
    }

    fn attempt(launch: &Launch<'_>) -> Result<Self> {
        let port = free_port()?;
        let log = launch.folder.join(format!("{}.log", launch.name));
        let out = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let mut command = mortal(&(launch.command)(port));
        command.current_dir(launch.folder).stdin(Stdio::null()).process_group(0);
        command.stderr(out.try_clone().context("share the log")?).stdout(out);
        if let Some((user, group)) = launch.run_as {
            command.uid(user).gid(group); // std also drops the supplementary groups
        }
        let child = command.spawn().with_context(|| format!("run `{}`", process::describe(&command)))?;
        let mut server = Self { port, name: launch.name, child, stop: launch.stop };
        server.wait_until_ready(launch.ready).map_err(|error| error.context(tail(&log)))?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, ready: &dyn Fn(u16) -> bool) -> Result<()> {
        let started = Instant::now();
        loop {
            process::check_interrupted()?;
            if let Some(status) = self.child.try_wait().context("wait")? {
                bail!("it ended by itself: {status}");
            }
            if ready(self.port) {
                return Ok(());
            }
            if started.elapsed() > READY_WITHIN {
                bail!("it did not answer within {} s", READY_WITHIN.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let pid = Pid::from_child(&self.child);
        process::signal_one(pid, self.stop);
        let asked = Instant::now();
        while !self.has_ended() {
            if asked.elapsed() > STOPPED_WITHIN {
                eprintln!("xtask: {} did not stop when asked, killing it", self.name);
                process::signal_group(pid, Signal::KILL);
                drop(self.child.wait());
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// The kernel signals when the *thread* that started the child ends, so servers are started on the main thread.
fn mortal(words: &[OsString]) -> Command {
    static SETPRIV: LazyLock<bool> = LazyLock::new(|| {
        process::probe(Command::new("setpriv").args(["--pdeathsig", "KILL", "true"])).is_some()
    });
    if *SETPRIV {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(words);
        return command;
    }
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

fn tail(log: &PathBuf) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("its log ends:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn launch<'a>(
        folder: &'a Path,
        command: &'a dyn Fn(u16) -> Vec<OsString>,
        ready: &'a dyn Fn(u16) -> bool,
    ) -> Launch<'a> {
        Launch { name: "test", folder, command, ready, run_as: None, stop: Signal::TERM }
    }

    fn shell(script: &str) -> Vec<OsString> {
        ["sh", "-c", script].map(OsString::from).to_vec()
    }

    #[test]
    fn a_server_that_ends_by_itself_is_reported_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let command = |_| shell("echo no such luck; exit 4");
        let error = Server::start(&launch(folder.path(), &command, &|_| false)).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains("no such luck") && said.contains("exit status: 4"), "{said}");
    }

    #[test]
    fn dropping_stops_it() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("up");
        let command = |_| shell("touch up; exec sleep 60");
        let server = Server::start(&launch(folder.path(), &command, &|_| mark.exists())).unwrap();
        let proc = format!("/proc/{}", server.child.id());
        drop(server);
        assert!(!Path::new(&proc).exists());
    }

    #[test]
    fn a_free_port_is_free() {
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, free_port().unwrap())).is_err());
    }
}
