//! The machine that figures come from: its facts, its CPUs and who runs on which, its limits.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{fs, process::Command, sync::LazyLock};

/// Benchmarks keep the server and its services on one CPU, themselves on another.
pub(crate) fn server_cpu() -> Option<&'static str> {
    (cpus() > 1).then_some("0")
}

/// Moves this process to its CPU. To be called while it has one thread: later ones are born there.
pub(crate) fn pin_ourselves() -> Result<()> {
    if cpus() < 2 {
        return Ok(());
    }
    let us = std::process::id().to_string();
    run("taskset", &["-cp", "1", &us]).context("move the client to CPU 1")?;
    Ok(())
}

/// Fails with what to do when so many sockets cannot be opened.
pub(crate) fn check_open_files(sockets: usize) -> Result<()> {
    const OTHERS: usize = 200;
    let text = fs::read_to_string("/proc/self/limits").context("read the limits of this process")?;
    let limit = open_files(&text).context("find `Max open files` in the limits of this process")?;
    let needed = sockets + OTHERS;
    if limit < needed {
        bail!(
            "{sockets} sockets need {needed} open files, and `ulimit -n` is {limit}: raise it (ulimit -n {needed})"
        );
    }
    Ok(())
}

fn open_files(limits: &str) -> Option<usize> {
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = soft.split_whitespace().next()?;
    if soft == "unlimited" { Some(usize::MAX) } else { soft.parse().ok() }
}

pub(crate) fn facts() -> Value {
    json!({
        "cpus": cpus(),
        "cpu_model": colon_field("/proc/cpuinfo", "model name"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "memory_mib": colon_field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
            .map(|kib| kib / 1024),
        "load_average": fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next(),
        "rustc": run("rustc", &["-V"]).ok(),
        "commit": run("git", &["describe", "--always", "--dirty"]).ok(),
        "client_cpus": allowed_cpus("self"),
    })
}

/// The CPUs that a process may run on, as the kernel writes them; none where that cannot be seen.
pub(crate) fn allowed_cpus(process: &str) -> Option<String> {
    colon_field(&format!("/proc/{process}/status"), "Cpus_allowed_list")
}

/// The process that listens on a TCP port of this machine, where we may see it.
pub(crate) fn listener(port: u16) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| listening(&fs::read_to_string(table).unwrap_or_default(), port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let holds_one = |process: &str| {
        let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
    };
    let mut processes: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // A parent shares its socket with its children; it is the oldest.
    processes.sort_unstable();
    processes.into_iter().map(|id| id.to_string()).find(|id| holds_one(id))
}

/// Inodes of the sockets that listen on a port, from the kernel's table.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let ours = u16::from_str_radix(local_port, 16) == Ok(port) && fields.get(3) == Some(&LISTEN);
        ours.then(|| fields.get(9).map(ToString::to_string))?
    };
    table.lines().filter_map(inode).collect()
}

pub(crate) fn ticks_per_second() -> f64 {
    static TICKS: LazyLock<f64> = LazyLock::new(|| {
        run("getconf", &["CLK_TCK"]).ok().and_then(|text| text.parse().ok()).unwrap_or(100.0)
    });
    *TICKS
}

fn cpus() -> usize {
    static CPUS: LazyLock<usize> = LazyLock::new(|| {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        text.lines().filter(|line| line.starts_with("processor")).count()
    });
    *CPUS
}

fn colon_field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Runs a small program and returns what it says.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_one_that_counts() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 20000                files\n";
        assert_eq!(open_files(limits), Some(1024));
        let error = check_open_files(usize::MAX / 2).map_err(|error| error.to_string());
        assert!(error.is_ok() || error.unwrap_err().contains("ulimit -n"));
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let listener_here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener_here.local_addr().unwrap().port();
        assert_eq!(listener(port), Some(std::process::id().to_string()));
        assert!(allowed_cpus("self").is_some());
    }
}
