//! A good history as one sees it who wants to spoil it: what belongs to which socket, and how to change it.

use crate::model::hears;
use presence_api::{
    event::{ENTITY, EventId},
    frames::Resume,
    history::{About, Act, Entry, Key, Outcome},
};

#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) connect: usize,
    pub(crate) actor: &'a str,
    pub(crate) number: u64,
    pub(crate) key: &'a Key,
    pub(crate) resume: Option<Resume>,
    /// Session, position, resumed.
    pub(crate) entered: Option<(i64, u64, bool)>,
    /// What it heard and was resynced with: line, position, whether it is an event.
    pub(crate) flow: Vec<(usize, u64, bool)>,
    pub(crate) told: Vec<(usize, &'a str)>,
    pub(crate) closed: Option<usize>,
}

impl Seen<'_> {
    /// Where it stood before this part of its flow.
    pub(crate) fn position_before(&self, index: usize) -> u64 {
        let base = match (self.resume, self.entered) {
            (Some(resume), Some((_, _, true))) => resume.last_seq,
            (_, Some((_, seq, _))) => seq,
            (_, None) => 0,
        };
        index.checked_sub(1).map_or(base, |before| self.flow[before].1.max(base))
    }

    /// Whether something that is missing before this part of its flow would be noticed.
    pub(crate) fn notices_before(&self, index: usize) -> bool {
        self.flow.get(index).map_or(self.closed.is_none(), |&(_, _, is_event)| is_event)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) line: usize,
    pub(crate) seq: u64,
    pub(crate) id: &'a EventId,
    pub(crate) about: &'a About,
}

impl Event<'_> {
    pub(crate) fn is_own(&self, key: &Key, operation: &str) -> bool {
        self.id.entity_type == ENTITY
            && self.id.operation == operation
            && self.about.about.as_ref() == Some(&key.agent_id)
            && self.about.classroom_id == key.classroom_id
    }
}

/// A row of the last dump.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) line: usize,
    pub(crate) id: i64,
    pub(crate) key: &'a Key,
    pub(crate) started_at: i64,
    pub(crate) ended_at: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) sockets: Vec<Seen<'a>>,
    pub(crate) events: Vec<Event<'a>>,
    /// By key and beginning.
    pub(crate) rows: Vec<Row<'a>>,
    pub(crate) quiet: usize,
    /// No fault excuses anything.
    pub(crate) undisturbed: bool,
}

impl<'a> View<'a> {
    pub(crate) fn new(entries: &'a [Entry]) -> Self {
        let quiet =
            entries.iter().position(|it| matches!(it.act, Act::Quiet {})).expect("the model ends quietly");
        let undisturbed = !entries.iter().any(|it| matches!(it.act, Act::Fault { .. }));
        let events = entries.iter().enumerate().filter_map(|(line, entry)| match &entry.act {
            Act::Published { seq, id, about } => Some(Event { line, seq: *seq, id, about }),
            _ => None,
        });
        let mut rows: Vec<_> = entries.iter().enumerate().skip(quiet).filter_map(row).collect();
        rows.sort_by_key(|row| (row.key, row.started_at, row.id));
        let events = events.collect();
        Self { entries, sockets: sockets(entries), events, rows, quiet, undisturbed }
    }

    /// The events that this socket hears, of those between two positions.
    pub(crate) fn audible(&self, socket: &Seen<'_>, after: u64, up_to: u64) -> Vec<Event<'a>> {
        let of = self.events.iter().filter(|it| it.seq > after && it.seq <= up_to);
        of.filter(|it| hears(socket.key, it.about)).copied().collect()
    }

    /// Pairs of consecutive stays of one key.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Row<'a>, Row<'a>)> {
        let pairs = self.rows.windows(2).map(|pair| (pair[0], pair[1]));
        pairs.filter(|(before, after)| before.key == after.key)
    }

    /// The last stay of each key.
    pub(crate) fn last_rows(&self) -> impl Iterator<Item = Row<'a>> {
        let next = |index: usize| self.rows.get(index + 1).map(|row| row.key);
        let rows = self.rows.iter().enumerate();
        rows.filter(move |(index, row)| next(*index) != Some(row.key)).map(|(_, row)| *row)
    }

    pub(crate) fn sockets_of(&self, key: &Key) -> impl Iterator<Item = &Seen<'a>> {
        self.sockets.iter().filter(move |it| it.key == key)
    }

    /// When the agent's last socket or attempt was over; none while one is open.
    pub(crate) fn gone_at(&self, key: &Key) -> Option<i64> {
        let over = |it: &Seen<'_>| match (it.entered, it.closed) {
            (_, Some(closed)) => Some(self.entries[closed].at),
            (None, None) => Some(self.entries[it.connect].at),
            (Some(_), None) => None,
        };
        self.sockets_of(key).map(over).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    pub(crate) fn top_seq(&self) -> u64 {
        self.events.iter().map(|it| it.seq).max().expect("the model says something")
    }

    /// The last event of ours of this kind and session.
    pub(crate) fn own(&self, key: &Key, operation: &str, id: i64) -> Option<Event<'a>> {
        self.events.iter().find(|it| it.is_own(key, operation) && it.id.sequence_id == id).copied()
    }

    pub(crate) fn edited(&self, line: usize, edit: impl FnOnce(&mut Entry)) -> Patch {
        Patch::default().and_edited(self, line, edit)
    }

    /// With these two lines saying each what the other said.
    pub(crate) fn swapped(&self, a: usize, b: usize) -> Patch {
        let act = |line: usize| self.entries[line].act.clone();
        self.edited(a, |entry| entry.act = act(b)).and_edited(self, b, |entry| entry.act = act(a))
    }

    /// With these two events at each other's position in the stream.
    pub(crate) fn at_each_others(&self, a: Event<'_>, b: Event<'_>) -> Patch {
        let moved = |to: u64| {
            move |entry: &mut Entry| {
                if let Act::Published { seq, .. } = &mut entry.act {
                    *seq = to;
                }
            }
        };
        self.edited(a.line, moved(b.seq)).and_edited(self, b.line, moved(a.seq))
    }

    /// With another act right after this line, at the same time and by the same actor.
    pub(crate) fn with_after(&self, line: usize, act: Act) -> Patch {
        Patch::default().and_after(self, line, &self.entries[line].actor, act)
    }

    /// With more rows in the last dump.
    pub(crate) fn with_row(&self, act: Act) -> Patch {
        self.with_after(self.entries.len() - 2, act).recounted()
    }

    pub(crate) fn with_published(&self, line: usize, seq: u64, id: EventId, about: About) -> Patch {
        Patch::default().and_after(self, line, "witness", Act::Published { seq, id, about })
    }
}

/// What this event is when this socket hears it.
pub(crate) fn heard(socket: &Seen<'_>, seq: u64, id: &EventId) -> Act {
    let classroom_id = socket.key.classroom_id.clone();
    let about = About { classroom_id, about: None, receiver: None, sender: None };
    Act::Heard { socket: socket.number, seq, id: id.clone(), about }
}

/// What is to be changed of a history. Making one is cheap; it is applied only where it is tried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    pub(crate) removed: Vec<usize>,
    pub(crate) changed: Vec<(usize, Entry)>,
    /// After which line, and what; in this order.
    pub(crate) added: Vec<(usize, Entry)>,
    /// Whether the dumps say of themselves what is true after it.
    recounted: bool,
}

impl Patch {
    pub(crate) fn without(lines: &[usize]) -> Self {
        Self { removed: lines.to_vec(), ..Self::default() }
    }

    pub(crate) fn and_edited(mut self, view: &View<'_>, line: usize, edit: impl FnOnce(&mut Entry)) -> Self {
        let mut entry = view.entries[line].clone();
        edit(&mut entry);
        self.changed.push((line, entry));
        self
    }

    pub(crate) fn and_after(mut self, view: &View<'_>, line: usize, actor: &str, act: Act) -> Self {
        let at = view.entries[line].at;
        self.added.push((line, Entry { began: at, at, actor: actor.to_owned(), act }));
        self
    }

    pub(crate) fn and_without(mut self, lines: impl IntoIterator<Item = usize>) -> Self {
        self.removed.extend(lines);
        self
    }

    pub(crate) fn recounted(mut self) -> Self {
        self.recounted = true;
        self
    }

    pub(crate) fn apply(&self, good: &[Entry]) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(good.len() + self.added.len());
        for (line, entry) in good.iter().enumerate() {
            if !self.removed.contains(&line) {
                let changed = self.changed.iter().rev().find(|it| it.0 == line);
                entries.push(changed.map_or(entry, |it| &it.1).clone());
            }
            entries.extend(self.added.iter().filter(|it| it.0 == line).map(|it| it.1.clone()));
        }
        if self.recounted {
            recount(&mut entries);
        }
        entries
    }
}

/// Makes what the dumps say of themselves true again.
fn recount(entries: &mut [Entry]) {
    let mut counts = (0, 0, 0);
    for entry in entries {
        match &mut entry.act {
            Act::Live { .. } => counts.0 += 1,
            Act::Ended { .. } => counts.1 += 1,
            Act::Waiting { .. } => counts.2 += 1,
            Act::Dumped { live, ended, waiting } => {
                (*live, *ended, *waiting) = counts;
                counts = (0, 0, 0);
            }
            _ => {}
        }
    }
}

fn row((line, entry): (usize, &Entry)) -> Option<Row<'_>> {
    match &entry.act {
        Act::Live { session_id, key, started_at, .. } => {
            Some(Row { line, id: *session_id, key, started_at: *started_at, ended_at: None })
        }
        Act::Ended { session_id, key, started_at, ended_at } => {
            Some(Row { line, id: *session_id, key, started_at: *started_at, ended_at: Some(*ended_at) })
        }
        _ => None,
    }
}

fn sockets(entries: &[Entry]) -> Vec<Seen<'_>> {
    let mut sockets: Vec<Seen<'_>> = Vec::new();
    for (line, entry) in entries.iter().enumerate() {
        let actor = entry.actor.as_str();
        match &entry.act {
            Act::Heard { socket, seq, .. } => of(&mut sockets, actor, *socket).flow.push((line, *seq, true)),
            Act::Resync { socket, seq, .. } => {
                of(&mut sockets, actor, *socket).flow.push((line, *seq, false));
            }
            Act::Told { socket, reason, .. } => of(&mut sockets, actor, *socket).told.push((line, reason)),
            Act::Closed { socket, .. } => of(&mut sockets, actor, *socket).closed = Some(line),
            Act::Connect { socket, key, resume, outcome } => {
                let entered = match outcome {
                    Outcome::Entered { session_id, seq, resumed, .. } => Some((*session_id, *seq, *resumed)),
                    _ => None,
                };
                let (flow, told) = (Vec::new(), Vec::new());
                let (connect, number, resume) = (line, *socket, *resume);
                sockets.push(Seen { connect, actor, number, key, resume, entered, flow, told, closed: None });
            }
            _ => {}
        }
    }
    sockets
}

fn of<'s, 'a>(sockets: &'s mut [Seen<'a>], actor: &str, number: u64) -> &'s mut Seen<'a> {
    let found = sockets.iter_mut().find(|it| it.actor == actor && it.number == number);
    found.expect("the model connects first")
}
