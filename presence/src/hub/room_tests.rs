//! Who sits where, when claims, ends and asks to go cross each other.

use super::*;
use crate::hub::{Hub, Parting};
use presence_core::ids::{Generation, SessionId, SessionKey};
use std::task::{Context, Poll, Waker};

fn held(generation: i64) -> Held {
    Held { session_id: SessionId(1), generation: Generation(generation) }
}

fn key() -> SessionKey {
    SessionKey { agent_id: "web.a.b".parse().unwrap(), classroom_id: "c".parse().unwrap() }
}

fn mailbox() -> Arc<Mailbox> {
    Arc::new(Mailbox::new(1024))
}

fn sitter<'a>(key: &'a SessionKey, held: Held, mailbox: &'a Arc<Mailbox>) -> Sitter<'a> {
    Sitter { agent: &key.agent_id, held, mailbox, heard: 0 }
}

fn told(mailbox: &Mailbox) -> Poll<Command> {
    mailbox.poll_command(&Context::from_waker(Waker::noop()))
}

fn is_seated(room: &Room, mailbox: &Mailbox) -> bool {
    room.resync(&Spoken { native: "state".into(), packet: "4".into() }, 1);
    mailbox.poll_frame(&Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn the_late_end_of_an_old_socket_does_not_touch_the_new_one() {
    let (hub, key) = (Hub::default(), key());
    let room = hub.room(&key.classroom_id);
    let (old, new) = (mailbox(), mailbox());
    let (old_seat, _) = room.seat(sitter(&key, held(1), &old)).unwrap();
    let (_new_seat, _) = room.seat(sitter(&key, held(2), &new)).unwrap();
    assert_eq!(told(&old), Poll::Ready(Command::Replaced));
    drop(old_seat);
    assert!(is_seated(&room, &new));
    assert_eq!(told(&new), Poll::Pending);
}

#[test]
fn a_claim_that_comes_to_its_seat_late_is_stale() {
    let (hub, key) = (Hub::default(), key());
    let room = hub.room(&key.classroom_id);
    let mailbox = mailbox();
    let _seat = room.seat(sitter(&key, held(2), &mailbox)).unwrap();
    assert_eq!(room.seat(sitter(&key, held(1), &mailbox)).unwrap_err(), Stale::Claim);
}

#[test]
fn a_new_session_takes_the_seat_of_one_that_ended_elsewhere_though_its_generations_begin_anew() {
    let (hub, key) = (Hub::default(), key());
    let room = hub.room(&key.classroom_id);
    let (old, new) = (mailbox(), mailbox());
    let _old_seat = room.seat(sitter(&key, held(5), &old)).unwrap();
    let anew = Held { session_id: SessionId(2), generation: Generation(1) };
    let _new_seat = room.seat(sitter(&key, anew, &new)).unwrap();
    assert_eq!(told(&old), Poll::Ready(Command::Replaced));
    assert!(is_seated(&room, &new));
}

#[test]
fn a_retired_room_seats_nobody_and_an_occupied_one_is_not_retired() {
    let (hub, key) = (Hub::default(), key());
    let room = hub.room(&key.classroom_id);
    let mailbox = mailbox();
    let seat = room.seat(sitter(&key, held(1), &mailbox)).unwrap();
    assert!(!hub.retire(&room));
    drop(seat);
    assert!(hub.retire(&room));
    assert_eq!(room.seat(sitter(&key, held(2), &mailbox)).unwrap_err(), Stale::Room);
    assert!(!Arc::ptr_eq(&room, &hub.room(&key.classroom_id)));
}

#[test]
fn who_is_let_go_hears_nothing_more_and_its_late_end_harms_nobody() {
    let (hub, key) = (Hub::default(), key());
    let room = hub.room(&key.classroom_id);
    let (old, new) = (mailbox(), mailbox());
    let (old_seat, _) = room.seat(sitter(&key, held(1), &old)).unwrap();
    // Asked for by a claim that came after the next one, too.
    let Parting::Seated(let_go) = hub.let_go(&key, held(2)) else { panic!("it sat there") };
    assert!(Arc::ptr_eq(&let_go, &old) && !is_seated(&room, &old));
    let (_new_seat, _) = room.seat(sitter(&key, held(3), &new)).unwrap();
    drop(old_seat);
    assert!(is_seated(&room, &new));
}

#[test]
fn a_later_claim_is_not_let_go() {
    let (hub, key) = (Hub::default(), key());
    let room = hub.room(&key.classroom_id);
    let mailbox = mailbox();
    let _seat = room.seat(sitter(&key, held(2), &mailbox)).unwrap();
    assert!(matches!(hub.let_go(&key, held(1)), Parting::Nobody));
    assert!(is_seated(&room, &mailbox));
}

#[test]
fn who_is_let_go_on_the_way_to_its_seat_knows_it_and_whoever_claims_later_is_not_meant() {
    let (hub, key) = (Arc::new(Hub::default()), key());
    assert!(matches!(hub.let_go(&key, held(2)), Parting::Nobody));
    let (first, second) = (hub.expect(&key), hub.expect(&key));
    assert!(!first.is_let_go(held(1)));
    assert!(matches!(hub.let_go(&key, held(2)), Parting::Expected));
    // One that was asked for earlier, and comes late.
    assert!(matches!(hub.let_go(&key, held(1)), Parting::Expected));
    drop(first);
    assert!(second.is_let_go(held(2)) && !second.is_let_go(held(3)));
    drop(second);
    assert!(!hub.expect(&key).is_let_go(held(1)), "nothing is remembered once nobody is on the way");
}
