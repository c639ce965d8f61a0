//! PostgreSQL for one run: a fresh cluster that trusts local connections and does not wait for the disk.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::guard::{Launch, Server};
use super::run_folder::RunFolder;
use crate::process;

/// A crash of the machine may eat the data, a crash of PostgreSQL may not: commits stay synchronous.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "fsync=off",
    "full_page_writes=off",
    "timezone=UTC",
];

pub(super) fn start(run: &RunFolder, bin: &Path) -> Result<Server> {
    let folder = run.of("postgres")?;
    let run_as = other_user()?;
    if let Some((user, group)) = run_as {
        std::os::unix::fs::chown(&folder, Some(user), Some(group)).context("hand PostgreSQL its folder")?;
    }
    let data = folder.join("data");
    let mut initdb = Command::new(bin.join("initdb"));
    initdb.current_dir(&folder).arg("--pgdata").arg(&data).args(["--username=postgres", "--auth=trust"]);
    initdb.args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
    if let Some((user, group)) = run_as {
        initdb.uid(user).gid(group);
    }
    process::output(&mut initdb).context("make a PostgreSQL cluster")?; // its chatter is not for the terminal
    Server::start(&Launch {
        name: "postgres",
        folder: &folder,
        command: &|port| {
            let mut words: Vec<OsString> =
                vec![bin.join("postgres").into(), "-D".into(), data.clone().into()];
            words.extend(["-p".into(), port.to_string().into()]);
            words.extend(SETTINGS.iter().flat_map(|setting| ["-c".into(), (*setting).into()]));
            words
        },
        ready: &|port| {
            let mut ask = Command::new(bin.join("pg_isready"));
            process::probe(ask.args(["--quiet", "--host=127.0.0.1", &format!("--port={port}")])).is_some()
        },
        run_as,
        stop: Signal::QUIT, // "immediate shutdown": waits for no client, and leaves no shared memory behind
    })
}

/// PostgreSQL refuses to run as root: then it runs as the user that its package made, or nobody.
fn other_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("read the list of users")?;
    let found = ["postgres", "nobody"].iter().find_map(|name| user(&users, name));
    found.map(Some).context("find a user `postgres` or `nobody`: PostgreSQL does not run as root")
}

/// User and group id of a name, from the text of `/etc/passwd`.
fn user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> =
        passwd.lines().map(|line| line.split(':').collect()).find(|fields: &Vec<&str>| fields[0] == name)?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let passwd = "top:x:0:0::/:/bin/sh\npostgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(user(passwd, "postgres"), Some((101, 104)));
        assert_eq!(user(passwd, "nobody"), None);
    }
}
