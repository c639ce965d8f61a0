//! Child processes that xtask waits for, and what a signal does to them.
//!
//! A child reads no stdin and gets its own process group, so Ctrl-C reaches xtask alone; xtask passes it on to
//! the group and then unwinds as after any failure, which is how servers and temporary folders are always taken
//! down. One child at a time is waited for. Long-lived servers are not here but in `servers/guard.rs`.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What the signal thread must reach while the main thread waits.
#[derive(Clone, Copy)]
enum Foreground {
    Nobody,
    Group(Pid),
    /// A command of the developer on our own terminal: it hears Ctrl-C by itself and may live on.
    Guest(Pid),
}

static FOREGROUND: Mutex<Foreground> = Mutex::new(Foreground::Nobody);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How long output is still read after the child has gone, should a grandchild hold the pipe open.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Turns Ctrl-C, SIGTERM and SIGHUP into an orderly end. A second signal does not wait for it.
pub(crate) fn watch_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("watch signals")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            on_signal(signal);
        }
    });
    Ok(())
}

fn on_signal(signal: i32) {
    match foreground() {
        Foreground::Guest(_) if signal == SIGINT => return,
        Foreground::Guest(pid) => signal_one(pid, Signal::TERM),
        Foreground::Group(pid) => signal_group(pid, Signal::TERM),
        Foreground::Nobody => {}
    }
    if INTERRUPTED.swap(true, Ordering::SeqCst) {
        if let Foreground::Group(pid) = foreground() {
            signal_group(pid, Signal::KILL);
        }
        eprintln!("xtask: second signal, leaving at once");
        std::process::exit(130);
    }
    eprintln!("xtask: interrupted, cleaning up");
}

/// Signals one process. That it cannot be done means that it has just ended: nothing is left to do.
pub(crate) fn signal_one(pid: Pid, signal: Signal) {
    let _ = kill_process(pid, signal);
}

/// Signals a process group; as `signal_one`.
pub(crate) fn signal_group(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
}

fn foreground() -> Foreground {
    *FOREGROUND.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set_foreground(to: Foreground) {
    *FOREGROUND.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

/// Fails once a signal has come. Every loop that waits asks this.
pub(crate) fn check_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}

/// The command as a person would type it, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs to the end with our stdout and stderr; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let child = start(command)?;
    let status = wait(command, child)?;
    expect_success(command, status)
}

/// Runs to the end and returns stdout; anything but success is an error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let mut text = String::new();
    let status = stream(command, None, |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    expect_success(command, status)?;
    Ok(text)
}

/// Like `output`, but silent: to ask whether a tool is there and works. Its stderr is the tool's business.
pub(crate) fn probe(command: &mut Command) -> Option<String> {
    let done = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs to the end and shows each line of stdout to `on_line`. `limit` bounds the whole run.
pub(crate) fn stream(
    command: &mut Command,
    limit: Option<Duration>,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    command.stdout(Stdio::piped());
    let mut child = start(command)?;
    let lines = read_lines(child.stdout.take().context("stdout is piped")?);
    let deadline = limit.map(|limit| Instant::now() + limit);
    let status = pump(&mut child, &lines, deadline, &mut on_line);
    set_foreground(Foreground::Nobody);
    let status = status.with_context(|| format!("run `{}`", describe(command)))?;
    check_interrupted()?;
    Ok(status)
}

/// Runs a developer's command on our terminal, stdin and all.
pub(crate) fn run_guest(command: &mut Command) -> Result<ExitStatus> {
    check_interrupted()?;
    let mut child = command.spawn().with_context(|| format!("start `{}`", describe(command)))?;
    set_foreground(Foreground::Guest(Pid::from_child(&child)));
    let status = child.wait();
    set_foreground(Foreground::Nobody);
    status.with_context(|| format!("wait for `{}`", describe(command)))
}

fn start(command: &mut Command) -> Result<Child> {
    check_interrupted()?;
    command.stdin(Stdio::null()).process_group(0);
    let child = command.spawn().with_context(|| format!("start `{}`", describe(command)))?;
    set_foreground(Foreground::Group(Pid::from_child(&child)));
    Ok(child)
}

fn wait(command: &Command, mut child: Child) -> Result<ExitStatus> {
    let status = child.wait();
    set_foreground(Foreground::Nobody);
    check_interrupted()?;
    status.with_context(|| format!("wait for `{}`", describe(command)))
}

fn expect_success(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed: {status}", describe(command));
    }
    Ok(())
}

/// A thread, because a grandchild may hold the pipe open for ever; the lines are few and small, so no bound.
fn read_lines(from: ChildStdout) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if send.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

fn pump(
    child: &mut Child,
    lines: &Receiver<String>,
    deadline: Option<Instant>,
    on_line: &mut impl FnMut(&str),
) -> Result<ExitStatus> {
    let mut gone: Option<(ExitStatus, Instant)> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => return child.wait().context("wait"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if gone.is_none() {
            gone = child.try_wait().context("wait")?.map(|status| (status, Instant::now()));
        }
        if let Some((status, since)) = gone
            && since.elapsed() > AFTERMATH
        {
            eprintln!("xtask: a process that the command left behind still holds its output open");
            return Ok(status);
        }
        if deadline.is_some_and(|deadline| gone.is_none() && Instant::now() > deadline) {
            signal_group(Pid::from_child(child), Signal::KILL);
            child.wait().context("wait")?;
            bail!("took too long and was killed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_arrive_and_the_status_is_returned() {
        let mut seen = Vec::new();
        let status = stream(&mut shell("echo a; echo b; exit 3"), None, |line| {
            seen.push(line.to_owned());
        });
        assert_eq!(seen, ["a", "b"]);
        assert_eq!(status.unwrap().code(), Some(3));
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed() {
        let error = stream(&mut shell("sleep 60"), Some(Duration::from_millis(50)), |_| {}).unwrap_err();
        assert!(format!("{error:#}").contains("took too long"), "{error:#}");
    }

    #[test]
    fn a_grandchild_that_holds_the_pipe_does_not_hang_us() {
        let started = Instant::now();
        let status = stream(&mut shell("sleep 20 & echo done"), None, |_| {}).unwrap();
        assert!(status.success());
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_failure_names_the_command_and_its_status() {
        let error = output(&mut shell("exit 7")).unwrap_err();
        assert_eq!(format!("{error:#}"), "`sh -c exit 7` failed: exit status: 7");
    }
}
