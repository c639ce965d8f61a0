//! Socket.IO servers side by side: presence, npm `socket.io` with its Redis adapter, and `socketioxide`. The last two live
//! in `tests/reference/` and do for `join_lesson` what the classroom's backend does (two reads of PostgreSQL, the same keys
//! in Redis); they do not look at a token's signature, know no sessions and keep no history, which is to their favour.

use crate::{
    agent::Target,
    app::Visitor,
    mint::Mint,
    presence::{Presence, add_lessons},
    process::Process,
    publisher::Line,
    scenarios::Measured,
    services::{Database, Services},
};
use anyhow::{Context, Result};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    Presence,
    /// npm `socket.io` with `@socket.io/redis-adapter`
    SocketIo,
    /// `socketioxide`, with its adapter in memory
    Socketioxide,
}

impl Contender {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::SocketIo => "socket.io",
            Self::Socketioxide => "socketioxide",
        }
    }
}

/// A server with a database, and a database of Redis, of its own.
pub(crate) struct Server {
    contender: Contender,
    runs: Runs,
    mint: Mint,
    pub(crate) address: SocketAddr,
    nats: String,
}

enum Runs {
    Presence(Box<Presence>),
    Reference(Box<Reference>),
}

/// Fields are dropped in this order: the process ends before what it uses is removed.
struct Reference {
    process: Process,
    _database: Database,
    _folder: TempDir,
}

impl Server {
    /// Returns once it listens, with so many lessons.
    pub(crate) async fn start(contender: Contender, services: &Services, lessons: usize) -> Result<Self> {
        let nats = services.nats.clone();
        // A number each, so that what one left is not in the other's way.
        let redis = services.redis(contender as u8 + 1).await?;
        if contender == Contender::Presence {
            let presence = Presence::start_apps(services, redis, lessons).await?;
            let (mint, address) = (presence.mint()?, presence.public);
            return Ok(Self { contender, runs: Runs::Presence(Box::new(presence)), mint, address, nats });
        }
        let database = services.database()?;
        database.sql(LESSONS).context("make the tables of lessons")?;
        add_lessons(&database, lessons)?;
        let folder = tempfile::tempdir().context("make a folder for the server")?;
        let (program, args, mut env) = command(contender)?;
        env.push(("REFERENCE_REDIS_URL", redis));
        env.push(("REFERENCE_POSTGRES_URL", database.url.clone()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut process = Process::start(&program, &args, &env, folder.path().join("reference.log"))?;
        let port = process.wait_for("port", async |process| port(&process.said())).await?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let runs = Runs::Reference(Box::new(Reference { process, _database: database, _folder: folder }));
        Ok(Self { contender, runs, mint: Mint::unsigned(), address, nats })
    }

    /// So many students, each in the lesson that is given for its number.
    pub(crate) fn visitors(
        &self,
        count: usize,
        lesson: impl Fn(usize) -> Option<String>,
    ) -> Result<Vec<Visitor>> {
        let visitor = |number| {
            let user = format!("student{number}");
            Ok(Visitor { token: self.mint.of(&user, "student")?, user, lesson: lesson(number) })
        };
        (0..count).map(visitor).collect()
    }

    /// How somebody speaks in a lesson: as a sibling service on NATS to presence, as a client to the others.
    pub(crate) fn line(&self, lesson: &str) -> Result<Line> {
        let room = lesson.to_owned();
        Ok(match self.contender {
            Contender::Presence => Line::Nats { server: self.nats.clone(), classroom: room },
            _ => Line::Apps { address: self.address, token: self.mint.of("teacher", "teacher")?, room },
        })
    }

    pub(crate) fn target(&self) -> Target {
        Target { address: self.address, token: "".into() }
    }
}

impl Measured for Server {
    fn name(&self) -> &'static str {
        self.contender.name()
    }

    fn process(&self) -> &Process {
        match &self.runs {
            Runs::Presence(presence) => &presence.process,
            Runs::Reference(reference) => &reference.process,
        }
    }
}

/// As in `migrations/postgres/0002_lessons.sql`.
const LESSONS: &str = "CREATE TABLE lesson (id text PRIMARY KEY, org_id text NOT NULL, room_id text); \
     CREATE TABLE student_attend (lesson_id text NOT NULL, student_id text NOT NULL, seat text, \
         PRIMARY KEY (lesson_id, student_id))";

type Launch = (PathBuf, Vec<String>, Vec<(&'static str, String)>);

fn command(contender: Contender) -> Result<Launch> {
    if contender == Contender::Socketioxide {
        let program = std::env::var_os("PRESENCE_BENCH_REFERENCE").context(
            "PRESENCE_BENCH_REFERENCE is not set: it is a release build of presence-reference (`cargo xtask bench` sets it)",
        )?;
        return Ok((program.into(), vec![], vec![]));
    }
    let variable = |name: &str, what: &str| {
        std::env::var(name)
            .with_context(|| format!("{name} is not set: it is {what} (`cargo xtask bench` sets it)"))
    };
    let node = variable("PRESENCE_TEST_NODE", "the program of Node")?;
    let modules = variable("PRESENCE_TEST_NODE_MODULES", "the folder of the npm packages")?;
    let script = Path::new("tests/reference/node/server.cjs");
    let script = script.canonicalize().with_context(|| format!("find {}", script.display()))?;
    let env = vec![("NODE_PATH", modules), ("NODE_ENV", "production".into())];
    Ok((node.into(), vec![script.display().to_string()], env))
}

/// It says where it listens, in a line of its own: `listening 41234`.
fn port(said: &str) -> Option<u16> {
    said.lines().find_map(|line| line.strip_prefix("listening ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_in_a_line_of_its_own() {
        assert_eq!(port("warning\nlistening 41234\n"), Some(41_234));
        assert_eq!(port("listening"), None);
    }
}
