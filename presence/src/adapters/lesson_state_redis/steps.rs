//! The steps as scripts: which keys and words each is given, and how what it answers is read. The scripts themselves are in
//! the files beside this one.

use crate::{
    adapters::lesson_keys::Keys,
    ports::lesson_state::{ALIVE_TTL, AppSocket, ENDED_TTL, Entered, Entry, Known, LESSON_TTL, SOCKETS_TTL},
};
use presence_core::{
    app::Kind,
    ids::{ClassroomId, RecoveryId, ReplicaId, SocketId},
};
use redis::{Cmd, Script};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Debug)]
pub(super) struct Scripts {
    connect: Text,
    join: Text,
    end: Text,
    restore: Text,
}

#[derive(Debug)]
struct Text {
    code: String,
    hash: String,
}

/// A script, and what it is given.
#[derive(Debug)]
pub(super) struct Step<'a> {
    script: &'a Text,
    keys: Vec<String>,
    args: Vec<Cow<'a, str>>,
}

/// A socket under its replica.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    user_id: Cow<'a, str>,
    org_id: Cow<'a, str>,
    kind: Cow<'a, str>,
    role: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lesson: Option<ClassroomId>,
}

fn line(socket: &AppSocket, lesson: Option<&ClassroomId>) -> String {
    let line = Line {
        user_id: socket.user_id.as_str().into(),
        org_id: socket.org_id.as_str().into(),
        kind: socket.kind.as_str().into(),
        role: socket.role.as_str().into(),
        lesson: lesson.cloned(),
    };
    serde_json::to_string(&line).expect("a line has string keys and strings")
}

/// What is none is left alone: it is no socket of ours.
pub(super) fn read_entry(sid: &str, entry: &str) -> Option<Entered> {
    let line: Line<'_> = serde_json::from_str(entry).ok()?;
    let socket = AppSocket {
        sid: sid.parse::<SocketId>().ok()?,
        user_id: line.user_id.parse().ok()?,
        org_id: line.org_id.parse().ok()?,
        kind: Kind::named(&line.kind)?,
        role: line.role.into_owned(),
    };
    Some(Entered { socket, lesson: line.lesson })
}

pub(super) fn read_replica(word: &str) -> Option<ReplicaId> {
    uuid::Uuid::parse_str(word).ok().map(|id| ReplicaId(id.as_u128()))
}

pub(super) fn known((before, lesson): (bool, String)) -> Known {
    Known { before, lesson: lesson.parse().ok() }
}

impl Scripts {
    pub(super) fn new() -> Self {
        let text = |step: &str| {
            let code = format!("{}\n{step}", include_str!("guard.lua"));
            let hash = Script::new(&code).get_hash().to_owned();
            Text { code, hash }
        };
        Self {
            connect: text(include_str!("connect.lua")),
            join: text(include_str!("join.lua")),
            end: text(include_str!("end.lua")),
            restore: text(include_str!("restore.lua")),
        }
    }

    pub(super) fn connect<'a>(
        &'a self,
        keys: &Keys,
        replica: ReplicaId,
        socket: &'a AppSocket,
        login_time: i64,
    ) -> Step<'a> {
        let mut names = own(keys, replica, socket);
        names.extend(keys.user(socket));
        names.extend(alive(keys, socket));
        let args = vec![
            replica.to_string().into(),
            socket.sid.as_str().into(),
            line(socket, None).into(),
            login_time.to_string().into(),
            seconds(SOCKETS_TTL),
            socket.user_id.as_str().into(),
            socket.role.as_str().into(),
            socket.org_id.as_str().into(),
            shown(socket),
        ];
        Step { script: &self.connect, keys: names, args }
    }

    /// `None`: clients of its kind join no lessons.
    pub(super) fn join<'a>(
        &'a self,
        keys: &Keys,
        replica: ReplicaId,
        socket: &'a AppSocket,
        entry: &'a Entry,
    ) -> Option<Step<'a>> {
        let members = keys.members(socket.kind, &entry.lesson)?;
        let mut names = vec![keys.sockets(replica), keys.ended(&socket.sid), keys.user(socket)?, members];
        names.extend([keys.owners(socket.kind, &entry.lesson)?, keys.seats(&entry.lesson)]);
        let recovery = entry.recovery.as_ref().map_or_else(String::new, |(pid, recovery)| {
            names.push(keys.recovery(pid));
            serde_json::to_string(recovery).expect("a recovery has string keys and finite numbers")
        });
        let args = vec![
            socket.sid.as_str().into(),
            line(socket, Some(&entry.lesson)).into(),
            seconds(LESSON_TTL),
            entry.lesson.as_str().into(),
            entry.seats.to_string().into(),
            if entry.by_token { "1" } else { "0" }.into(),
            recovery.into(),
            socket.user_id.as_str().into(),
            socket.role.as_str().into(),
            socket.org_id.as_str().into(),
            shown(socket),
        ];
        Some(Step { script: &self.join, keys: names, args })
    }

    pub(super) fn end<'a>(
        &'a self,
        keys: &Keys,
        replica: ReplicaId,
        socket: &'a AppSocket,
        left: Option<&RecoveryId>,
    ) -> Step<'a> {
        let args = vec![
            replica.to_string().into(),
            socket.sid.as_str().into(),
            socket.user_id.as_str().into(),
            seconds(ENDED_TTL),
            seconds(ALIVE_TTL),
            alive(keys, socket).unwrap_or_default().into(),
            left.map(|pid| keys.recovery(pid)).unwrap_or_default().into(),
            keys.members_of(socket.kind).unwrap_or_default().into(),
            keys.owners_of(socket.kind).unwrap_or_default().into(),
            shown(socket),
            keys.user(socket).unwrap_or_default().into(),
        ];
        Step { script: &self.end, keys: own(keys, replica, socket), args }
    }

    /// With when it logged in, and how many seats its lesson has.
    pub(super) fn restore<'a>(
        &'a self,
        keys: &Keys,
        replica: ReplicaId,
        entered: &'a Entered,
        (login_time, seats): (i64, u16),
    ) -> Step<'a> {
        let Entered { socket, lesson } = entered;
        let members = lesson.as_ref().and_then(|lesson| keys.members(socket.kind, lesson));
        let owners = lesson.as_ref().and_then(|lesson| keys.owners(socket.kind, lesson));
        let args = vec![
            replica.to_string().into(),
            socket.sid.as_str().into(),
            line(socket, lesson.as_ref()).into(),
            login_time.to_string().into(),
            seconds(SOCKETS_TTL),
            keys.user(socket).unwrap_or_default().into(),
            alive(keys, socket).unwrap_or_default().into(),
            members.unwrap_or_default().into(),
            lesson.as_ref().map(|lesson| keys.seats(lesson)).unwrap_or_default().into(),
            socket.user_id.as_str().into(),
            socket.role.as_str().into(),
            socket.org_id.as_str().into(),
            lesson.as_ref().map_or("", ClassroomId::as_str).into(),
            seats.to_string().into(),
            seconds(LESSON_TTL),
            owners.unwrap_or_default().into(),
            shown(socket),
            keys.gone_of().into(),
            line(socket, None).into(),
        ];
        Step { script: &self.restore, keys: own(keys, replica, socket), args }
    }
}

/// Ours, that most steps begin with.
fn own(keys: &Keys, replica: ReplicaId, socket: &AppSocket) -> Vec<String> {
    let of_socket =
        [keys.sockets_of(socket), keys.ended(&socket.sid), keys.gone(socket.sid.shown().as_str())];
    [keys.sockets(replica), keys.replicas()].into_iter().chain(of_socket).collect()
}

fn shown(socket: &AppSocket) -> Cow<'static, str> {
    socket.sid.shown().as_str().to_owned().into()
}

fn alive(keys: &Keys, socket: &AppSocket) -> Option<String> {
    (socket.kind == Kind::Teacher).then(|| keys.alive(&socket.org_id, &socket.user_id))
}

fn seconds(ttl: std::time::Duration) -> Cow<'static, str> {
    ttl.as_secs().to_string().into()
}

impl Step<'_> {
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    pub(super) fn whole(&self) -> Cmd {
        self.command("EVAL", &self.script.code)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut cmd = redis::cmd(name);
        cmd.arg(script).arg(self.keys.len()).arg(&self.keys);
        for arg in &self.args {
            cmd.arg(&**arg);
        }
        cmd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_under_its_replica_reads_back_and_what_is_none_is_left_alone() {
        let socket = AppSocket {
            sid: "s".parse().unwrap(),
            user_id: "ann@school".parse().unwrap(),
            org_id: "o1".parse().unwrap(),
            kind: Kind::Manager,
            role: "a \"role\"\n".into(),
        };
        for lesson in [None, Some("math".parse().unwrap())] {
            let text = line(&socket, lesson.as_ref());
            assert_eq!(read_entry("s", &text), Some(Entered { socket: socket.clone(), lesson }));
        }
        let ours = line(&socket, None);
        for (sid, entry) in
            [("", ours.as_str()), ("s", ""), ("s", "{}"), ("s", &ours.replace("manager", "x"))]
        {
            assert_eq!(read_entry(sid, entry), None, "{entry}");
        }
    }

    #[test]
    fn a_replica_reads_back() {
        let replica = ReplicaId(7 << 100);
        assert_eq!(read_replica(&replica.to_string()), Some(replica));
        assert_eq!(read_replica("x"), None);
    }
}
