//! The sockets that one agent may have at a time: two, by construction.

use super::conduct::{Millis, ServerId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Trying,
    Held {
        session_id: i64,
        since: Millis,
        /// It was told to go elsewhere, not before this.
        move_at: Option<Millis>,
    },
    /// It said good-bye.
    Leaving,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) socket: u64,
    pub(super) server: Option<ServerId>,
    pub(super) stage: Stage,
    /// What the server's last words asked for.
    pub(super) after: Millis,
}

impl Slot {
    pub(super) const fn trying(socket: u64) -> Self {
        Self { socket, server: None, stage: Stage::Trying, after: 0 }
    }

    pub(super) const fn is_live(&self) -> bool {
        !matches!(self.stage, Stage::Leaving)
    }

    pub(super) const fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held { .. })
    }

    pub(super) const fn was_told(&self) -> bool {
        matches!(self.stage, Stage::Held { move_at: Some(_), .. })
    }
}

#[derive(Debug)]
pub(super) struct Slots([Option<Slot>; 2]);

impl Slots {
    pub(super) const fn new() -> Self {
        Self([None, None])
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Those that have not said good-bye.
    pub(super) fn live(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().flatten().filter(|slot| slot.is_live())
    }

    pub(super) fn get(&mut self, socket: u64) -> Option<&mut Slot> {
        self.0.iter_mut().flatten().find(|slot| slot.socket == socket)
    }

    /// Whether there was room.
    pub(super) fn put(&mut self, slot: Slot) -> bool {
        let free = self.0.iter_mut().find(|place| place.is_none());
        free.map(|place| *place = Some(slot)).is_some()
    }

    pub(super) fn take(&mut self, socket: u64) -> Option<Slot> {
        self.take_if(|slot| slot.socket == socket)
    }

    /// One that only waits for the server's good-bye.
    pub(super) fn take_leaving(&mut self) -> Option<Slot> {
        self.take_if(|slot| !slot.is_live())
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Slot> {
        self.0.iter_mut().filter_map(Option::take)
    }

    fn take_if(&mut self, is_it: impl Fn(&Slot) -> bool) -> Option<Slot> {
        self.0.iter_mut().find(|place| place.as_ref().is_some_and(&is_it))?.take()
    }
}
