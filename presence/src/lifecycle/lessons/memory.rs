//! What the lesson state has under a replica against the sockets that the replica answers for.
//!
//! Both differ in passing: a socket that is just connecting or ending. What was the same at the look before is so for good;
//! and what was entered at the look before, and is answered for, has been lost.

use crate::ports::lesson_state::Entered;
use presence_core::ids::SocketId;
use std::collections::{BTreeMap, BTreeSet};

/// What the look before has seen.
#[derive(Debug, Default)]
pub(super) struct Memory {
    entered: BTreeSet<SocketId>,
    left_over: BTreeSet<SocketId>,
    missing: BTreeSet<SocketId>,
}

/// What is to be put right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Entered, and nobody answers for them.
    pub(super) left_over: Vec<Entered>,
    /// Answered for, and not entered, or not in their lesson. With when they logged in.
    pub(super) missing: Vec<(Entered, i64)>,
}

impl Memory {
    /// `entered` was read first.
    pub(super) fn look(
        &mut self,
        entered: Vec<Entered>,
        present: &BTreeMap<SocketId, (Entered, i64)>,
    ) -> Found {
        let there: BTreeMap<_, _> =
            entered.iter().map(|it| (it.socket.sid.clone(), it.lesson.clone())).collect();
        let is_missing = |entered: &Entered| match there.get(&entered.socket.sid) {
            Some(lesson) => entered.lesson.is_some() && *lesson != entered.lesson,
            None => true,
        };
        let missing: BTreeMap<_, _> =
            present.iter().filter(|(_, (entered, _))| is_missing(entered)).collect();
        let certainly = |sid: &SocketId| self.missing.contains(sid) || self.entered.contains(sid);
        let found_missing =
            missing.iter().filter(|(sid, _)| certainly(sid)).map(|(_, missing)| (*missing).clone()).collect();
        let (mut left_over, mut found_left) = (BTreeSet::new(), vec![]);
        for it in entered.into_iter().filter(|it| !present.contains_key(&it.socket.sid)) {
            left_over.insert(it.socket.sid.clone());
            if self.left_over.contains(&it.socket.sid) {
                found_left.push(it);
            }
        }
        self.missing = missing.into_keys().cloned().collect();
        self.entered = there.into_keys().filter(|sid| present.contains_key(sid)).collect();
        self.left_over = left_over;
        Found { left_over: found_left, missing: found_missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::lesson_state::AppSocket;
    use presence_core::app::Kind;

    fn entered(sid: &str, lesson: Option<&str>) -> Entered {
        let socket = AppSocket {
            sid: sid.parse().unwrap(),
            user_id: "ann".parse().unwrap(),
            org_id: "o".parse().unwrap(),
            kind: Kind::Teacher,
            role: "teacher".into(),
        };
        Entered { socket, lesson: lesson.map(|lesson| lesson.parse().unwrap()) }
    }

    fn present(all: &[(&str, Option<&str>)]) -> BTreeMap<SocketId, (Entered, i64)> {
        all.iter().map(|(sid, lesson)| (sid.parse().unwrap(), (entered(sid, *lesson), 7))).collect()
    }

    fn nothing() -> Found {
        Found { left_over: vec![], missing: vec![] }
    }

    #[test]
    fn what_is_in_passing_is_left_alone() {
        let (mut memory, here) = (Memory::default(), present(&[("connects", None)]));
        assert_eq!(memory.look(vec![entered("ends", None)], &here), nothing());
        let there = vec![entered("connects", None)];
        assert_eq!(memory.look(there, &here), nothing());
        // It joins: the one side knows it before the other.
        assert_eq!(memory.look(vec![entered("connects", Some("math"))], &here), nothing());
        assert_eq!(memory.look(vec![], &present(&[])), nothing());
    }

    #[test]
    fn what_stays_left_over_is_found_at_the_second_look() {
        let (mut memory, nobody) = (Memory::default(), present(&[]));
        assert_eq!(memory.look(vec![entered("a", None)], &nobody), nothing());
        let found = memory.look(vec![entered("a", None), entered("b", None)], &nobody);
        assert_eq!(found, Found { left_over: vec![entered("a", None)], missing: vec![] });
    }

    #[test]
    fn what_was_there_and_is_not_was_lost_and_what_never_came_is_missing_at_the_second_look() {
        let (mut memory, here) = (Memory::default(), present(&[("a", Some("math")), ("new", None)]));
        assert_eq!(memory.look(vec![entered("a", Some("math"))], &here), nothing());
        let a = entered("a", Some("math"));
        let new = entered("new", None);
        let found = memory.look(vec![], &here);
        assert_eq!(found.missing, [(a, 7), (new.clone(), 7)]);
        let mut memory = Memory::default();
        assert_eq!(memory.look(vec![], &here), nothing());
        assert_eq!(memory.look(vec![entered("a", Some("math"))], &here).missing, [(new, 7)]);
    }

    #[test]
    fn a_socket_without_its_lesson_is_missing() {
        let (mut memory, here) = (Memory::default(), present(&[("a", Some("math"))]));
        let without = || vec![entered("a", None)];
        assert_eq!(memory.look(without(), &here), nothing());
        assert_eq!(memory.look(without(), &here).missing, [(entered("a", Some("math")), 7)]);
    }
}
