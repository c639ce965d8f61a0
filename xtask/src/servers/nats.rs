//! NATS for one run, with JetStream in a bounded throw-away store.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::guard::{Launch, Server};
use super::run_folder::RunFolder;

pub(super) fn start(run: &RunFolder, program: &Path) -> Result<Server> {
    let folder = run.of("nats")?;
    let config = folder.join("nats.conf");
    let text = format!(
        "jetstream {{\n  store_dir: \"{}\"\n  max_file_store: 2GB\n  max_memory_store: 256MB\n}}\n",
        folder.join("store").display()
    );
    fs::write(&config, text).context("write the NATS configuration")?;
    Server::start(&Launch {
        name: "nats",
        folder: &folder,
        command: &|port| {
            let mut words: Vec<OsString> = vec![program.into(), "-c".into(), config.clone().into()];
            words.extend(["-a".into(), "127.0.0.1".into(), "-p".into(), port.to_string().into()]);
            words
        },
        ready: &greets,
        run_as: None,
        stop: Signal::TERM,
    })
}

/// The server speaks first: `INFO {…}`. JetStream is up before clients are let in.
fn greets(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return false;
    };
    let mut word = [0; 4];
    socket.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && socket.read_exact(&mut word).is_ok()
        && &word == b"INFO"
}
