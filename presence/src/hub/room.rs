//! One classroom on this replica: who hears its events here, and up to which position they have been told.

use super::{Command, Mailbox};
use crate::event::{Event, Spoken};
use presence_core::{
    ids::{AgentId, ClassroomId},
    session::Held,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::OnceCell;

/// A classroom that is occupied here.
#[derive(Debug)]
pub struct Room {
    classroom: ClassroomId,
    state: Mutex<State>,
    /// Set once the room hears the bus; whoever enters waits for it.
    pub(crate) listening: OnceCell<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Every event up to here has been put into the mailboxes.
    position: u64,
    members: BTreeMap<AgentId, Member>,
    /// The hub has forgotten this room.
    closed: bool,
}

impl State {
    fn leave(&mut self, agent: &AgentId) -> Option<Member> {
        let member = self.members.remove(agent);
        if self.members.is_empty() {
            // An empty room keeps no table.
            self.members = BTreeMap::new();
        }
        member
    }
}

#[derive(Debug)]
struct Member {
    /// Claims of one key compare as they were made: the session id grows whenever the generation begins anew.
    held: Held,
    mailbox: Arc<Mailbox>,
    /// The client has heard everything up to here, perhaps on another replica that was ahead of this one.
    heard: u64,
}

/// What a socket brings to its seat.
#[derive(Debug, Clone, Copy)]
pub struct Sitter<'a> {
    pub agent: &'a AgentId,
    pub held: Held,
    pub mailbox: &'a Arc<Mailbox>,
    /// The last position that the client says it heard; 0: none.
    pub heard: u64,
}

/// Why nobody can be seated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The room is closed: ask the hub for another one.
    Room,
    /// A later claim of the same session is seated already.
    Claim,
}

impl Room {
    pub(super) fn new(classroom: ClassroomId) -> Self {
        Self { classroom, state: Mutex::default(), listening: OnceCell::new() }
    }

    pub const fn classroom(&self) -> &ClassroomId {
        &self.classroom
    }

    /// Seats a claim in place of an earlier one of the same agent, which is told that it was replaced. From the
    /// returned position on, every event that the client has not heard reaches the mailbox.
    pub fn seat(self: &Arc<Self>, sitter: Sitter<'_>) -> Result<(Seat, u64), Stale> {
        let Sitter { agent, held, mailbox, heard } = sitter;
        let mut state = self.lock();
        if state.closed {
            return Err(Stale::Room);
        }
        if state.members.get(agent).is_some_and(|member| member.held > held) {
            return Err(Stale::Claim);
        }
        let member = Member { held, mailbox: mailbox.clone(), heard };
        let replaced = state.members.insert(agent.clone(), member);
        let position = state.position;
        drop(state);
        if let Some(old) = replaced {
            old.mailbox.command(Command::Replaced);
        }
        let seat = Seat { room: self.clone(), agent: agent.clone(), held };
        Ok((seat, position))
    }

    /// Where the room's subscription begins.
    pub fn begin_at(&self, position: u64) {
        self.lock().position = position;
    }

    /// Puts an event into the mailboxes of those it is for. Returns how many took it, and how many could not.
    pub fn deliver(&self, event: &Event) -> (usize, usize) {
        let mut state = self.lock();
        state.position = event.seq;
        let is_for =
            |(agent, member): &(&AgentId, &Member)| event.seq > member.heard && event.is_for(agent.as_str());
        let for_whom = state.members.iter().filter(is_for);
        count(
            for_whom
                .map(|(_, Member { mailbox, .. })| mailbox.push(event.frame_for(mailbox.tongue()).clone())),
        )
    }

    /// Puts a frame into every mailbox: what they heard up to `position` is made good by it.
    pub fn resync(&self, frame: &Spoken, position: u64) -> usize {
        let mut state = self.lock();
        state.position = position;
        let mailboxes = state.members.values().map(|member| &member.mailbox);
        count(mailboxes.map(|mailbox| mailbox.push(frame.to(mailbox.tongue()).clone()))).0
    }

    pub fn is_empty(&self) -> bool {
        self.lock().members.is_empty()
    }

    /// Takes the agent's seat away, if it is of this claim or an older one: its socket hears nothing more of the room.
    pub(super) fn let_go(&self, agent: &AgentId, held: Held) -> Option<Arc<Mailbox>> {
        let mut state = self.lock();
        if state.members.get(agent)?.held > held {
            return None;
        }
        state.leave(agent).map(|member| member.mailbox)
    }

    pub(super) fn seated(&self) -> usize {
        self.lock().members.len()
    }

    pub(super) fn close_if_empty(&self) -> bool {
        let mut state = self.lock();
        state.closed |= state.members.is_empty();
        state.closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn count(taken: impl Iterator<Item = bool>) -> (usize, usize) {
    taken.fold((0, 0), |(yes, no), took| if took { (yes + 1, no) } else { (yes, no + 1) })
}

/// A socket's place in a room; dropping it gives the place up, unless a later claim has it by then.
#[derive(Debug)]
pub struct Seat {
    room: Arc<Room>,
    agent: AgentId,
    held: Held,
}

impl Seat {
    /// What the client said it had heard proved to be of another stream: from the returned position on it gets every
    /// event.
    pub fn forget_heard(&self) -> u64 {
        let mut state = self.room.lock();
        if let Some(member) = state.members.get_mut(&self.agent)
            && member.held == self.held
        {
            member.heard = 0;
        }
        state.position
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        if state.members.get(&self.agent).is_some_and(|member| member.held == self.held) {
            state.leave(&self.agent);
        }
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
