//! A history by whom and what it is about: sockets, keys, the stream, dumps, faults. Judges nothing.

use crate::{
    dumps::{self, Dump},
    faults::{Faults, Scope, Undisturbed},
    stream::Stream,
};
use presence_api::{
    frames::Resume,
    history::{Act, Entry, Key, Outcome, Side},
};
use std::collections::{BTreeMap, HashMap};

/// What a connect got that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entered {
    pub(crate) session_id: i64,
    pub(crate) seq: u64,
    pub(crate) resumed: bool,
}

/// How a socket ended for its agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    pub(crate) line: usize,
    pub(crate) at: i64,
    pub(crate) by: Side,
    pub(crate) code: Option<u16>,
}

/// A connect, and what its socket saw, in order.
#[derive(Debug)]
pub(crate) struct Socket<'a> {
    pub(crate) line: usize,
    pub(crate) began: i64,
    pub(crate) at: i64,
    pub(crate) actor: &'a str,
    pub(crate) key: &'a Key,
    pub(crate) resume: Option<Resume>,
    pub(crate) entered: Option<Entered>,
    pub(crate) replica: Option<&'a str>,
    /// `Heard`, `Resync` and `Told`.
    pub(crate) lines: Vec<usize>,
    pub(crate) closed: Option<Closed>,
}

impl Socket<'_> {
    /// Until when there was somebody: the end of the socket, or of an attempt that came to nothing. The end of time
    /// while it is open.
    pub(crate) fn end(&self) -> i64 {
        match (self.entered, self.closed) {
            (_, Some(closed)) => closed.at.max(self.at),
            (Some(_), None) => i64::MAX,
            (None, None) => self.at,
        }
    }

    /// Whether its agent took it for open at this moment.
    pub(crate) fn is_open_at(&self, moment: i64) -> bool {
        self.entered.is_some() && self.at <= moment && self.end() > moment
    }
}

/// All connects of one key, by the time they were answered.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) sockets: Vec<usize>,
    pub(crate) faults: Undisturbed,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Quiet {
    pub(crate) line: usize,
    pub(crate) began: i64,
}

#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) history: &'a [Entry],
    pub(crate) sockets: Vec<Socket<'a>>,
    pub(crate) lives: BTreeMap<&'a Key, Life>,
    /// Heard or resynced on a socket that never connected.
    pub(crate) strays: Vec<usize>,
    pub(crate) stream: Stream<'a>,
    /// By time; the last one is what was left in the end.
    pub(crate) dumps: Vec<Dump<'a>>,
    pub(crate) quiet: Option<Quiet>,
    faults: Faults<'a>,
}

impl<'a> Record<'a> {
    pub(crate) fn of(history: &'a [Entry]) -> Self {
        let (sockets, strays) = sockets(history);
        let faults = Faults::of(history);
        let mut lives: BTreeMap<&'a Key, Vec<usize>> = BTreeMap::new();
        for (index, socket) in sockets.iter().enumerate() {
            lives.entry(socket.key).or_default().push(index);
        }
        let life = |(key, mut of): (&'a Key, Vec<usize>)| {
            of.sort_by_key(|&index| (sockets[index].at, sockets[index].line));
            let faults = faults.concerning(&scope(&sockets, &of));
            (key, Life { sockets: of, faults })
        };
        let lives = lives.into_iter().map(life).collect();
        let quiets = history.iter().enumerate().filter(|(_, entry)| matches!(entry.act, Act::Quiet {}));
        let quiet = quiets.map(|(line, entry)| Quiet { line, began: entry.began }).max_by_key(|it| it.began);
        let (stream, dumps) = (Stream::of(history), dumps::of(history));
        Self { history, sockets, lives, strays, stream, dumps, quiet, faults }
    }

    /// The sockets of a key, by the time they were answered.
    pub(crate) fn sockets_of<'r>(
        &'r self,
        life: &'r Life,
    ) -> impl DoubleEndedIterator<Item = &'r Socket<'a>> {
        life.sockets.iter().map(|&index| &self.sockets[index])
    }

    /// What was left in the end.
    pub(crate) fn last_dump(&self) -> Option<&Dump<'a>> {
        self.dumps.last()
    }

    /// Whether all that is eventual holds at this moment, since nothing happened any more.
    pub(crate) fn is_quiet_at(&self, moment: i64) -> bool {
        self.quiet.is_some_and(|quiet| quiet.began <= moment)
    }

    /// The faults that concern everybody.
    pub(crate) fn common_faults(&self) -> Undisturbed {
        self.faults.concerning(&Scope { any_replica: true, ..Scope::default() })
    }
}

fn scope<'a>(sockets: &[Socket<'a>], of: &[usize]) -> Scope<'a> {
    let mut scope = Scope::default();
    for socket in of.iter().map(|&index| &sockets[index]) {
        scope.actors.insert(socket.actor);
        match socket.replica {
            Some(replica) => drop(scope.replicas.insert(replica)),
            None => scope.any_replica = true,
        }
    }
    scope
}

fn sockets(history: &[Entry]) -> (Vec<Socket<'_>>, Vec<usize>) {
    let mut sockets: Vec<Socket<'_>> = Vec::new();
    let mut strays = Vec::new();
    // A number that is used again is another socket from then on.
    let mut newest: HashMap<(&str, u64), usize> = HashMap::new();
    for (line, entry) in history.iter().enumerate() {
        let actor = entry.actor.as_str();
        let number = match &entry.act {
            Act::Connect { socket, .. } => {
                newest.insert((actor, *socket), sockets.len());
                sockets.extend(opened(line, entry));
                continue;
            }
            Act::Heard { socket, .. }
            | Act::Resync { socket, .. }
            | Act::Told { socket, .. }
            | Act::Closed { socket, .. } => *socket,
            _ => continue,
        };
        let of = newest.get(&(actor, number)).map(|&index| &mut sockets[index]);
        match (&entry.act, of) {
            (Act::Closed { by, code, .. }, Some(socket)) => {
                let closed = Closed { line, at: entry.at, by: *by, code: *code };
                socket.closed.get_or_insert(closed);
            }
            (_, Some(socket)) => socket.lines.push(line),
            (Act::Heard { .. } | Act::Resync { .. }, None) => strays.push(line),
            (_, None) => {}
        }
    }
    (sockets, strays)
}

fn opened(line: usize, entry: &Entry) -> Option<Socket<'_>> {
    let Act::Connect { key, resume, outcome, .. } = &entry.act else { return None };
    let (entered, replica) = match outcome {
        &Outcome::Entered { session_id, seq, resumed, ref replica, .. } => {
            let replica = Some(replica.as_str()).filter(|label| !label.is_empty());
            (Some(Entered { session_id, seq, resumed }), replica)
        }
        Outcome::Refused { .. } | Outcome::Unknown { .. } => (None, None),
    };
    Some(Socket {
        line,
        began: entry.began,
        at: entry.at,
        actor: &entry.actor,
        key,
        resume: *resume,
        entered,
        replica,
        lines: Vec::new(),
        closed: None,
    })
}
