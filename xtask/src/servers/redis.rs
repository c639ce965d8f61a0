//! Redis for one run, in memory only.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use super::guard::{Launch, Server};
use super::run_folder::RunFolder;

pub(super) fn start(run: &RunFolder, program: &Path) -> Result<Server> {
    let folder = run.of("redis")?;
    Server::start(&Launch {
        name: "redis",
        folder: &folder,
        command: &|port| {
            let port = port.to_string();
            let options = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
            std::iter::once(program.into()).chain(options.map(Into::into)).collect()
        },
        ready: &answers,
        run_as: None,
        stop: Signal::KILL, // nothing to save, and it takes its time otherwise
    })
}

fn answers(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return false;
    };
    let mut reply = [0; 5];
    socket.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && socket.write_all(b"PING\r\n").is_ok()
        && socket.read_exact(&mut reply).is_ok()
        && &reply == b"+PONG"
}
