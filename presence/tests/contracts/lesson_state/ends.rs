//! What a socket's end takes away, what it must leave alone, and that it is told once.

use super::stage::{
    A, B, DAY, HOUR, Stage, assert_lives, entry, fields, on_every_lesson_state, recovery, socket,
};
use presence::ports::lesson_state::{AppSocket, Ended, Entered, Entry};
use presence_core::app::Kind;
use std::time::Duration;

on_every_lesson_state!(
    a_teacher_who_is_gone_is_said_to_be_away_for_an_hour,
    a_student_who_is_gone_is_in_no_lesson,
    an_end_is_told_once,
    the_end_of_an_earlier_socket_takes_nothing_from_a_later_one,
    of_two_sockets_the_one_that_stays_keeps_its_teacher_here,
    a_teacher_is_told_apart_by_org_and_kind,
    whoever_comes_back_is_here_again,
    a_connection_taken_up_is_seen_as_before_and_ends_by_itself,
    a_recovery_goes_with_those_who_leave,
    a_connection_that_was_taken_up_ends_and_nothing_is_seen_of_it,
    what_is_lost_ends_like_any_other_and_once,
    what_is_lost_and_joins_then_leaves_the_lesson_at_its_end,
    a_connect_that_was_overtaken_leaves_no_name_behind,
    whoever_has_ended_enters_nothing_any_more,
    that_a_socket_ended_is_forgotten_in_time,
);

const ALIVE: &str = "alive:org_o1_user_ann";

async fn a_teacher_who_is_gone_is_said_to_be_away_for_an_hour(stage: &Stage) {
    let ann = socket(Kind::Teacher, "ann");
    stage.connect(&ann, 17).await;
    stage.join(&ann, "math").await;
    let ended = stage.state.end(A, &ann, None).await.unwrap();
    assert_eq!(ended, Some(Ended { lesson: Some("math".parse().unwrap()), was_latest: true }));
    let alive = stage.hash(ALIVE).await.unwrap();
    assert_eq!(alive.0, fields([("login_time", "17"), ("state", "disconnect")]));
    assert_lives(&alive, HOUR);
    assert_eq!(stage.hash("lesson_teacher_math").await, None);
    let left: Vec<_> = stage.everything().await.into_keys().collect();
    assert_eq!(left, [ALIVE, "ann", "lesson_seat_math"]);
}

async fn a_student_who_is_gone_is_in_no_lesson(stage: &Stage) {
    let (bob, eve) = (socket(Kind::Student, "bob"), socket(Kind::Student, "eve"));
    for student in [&bob, &eve] {
        stage.connect(student, 1).await;
        stage.join(student, "math").await;
    }
    stage.state.end(A, &bob, None).await.unwrap().unwrap();
    let hash = stage.hash("lesson_student_math").await.unwrap();
    assert_eq!(hash.0, fields([("eve", eve.sid.as_str())]));
    assert_lives(&hash, DAY);
}

async fn an_end_is_told_once(stage: &Stage) {
    for kind in Kind::ALL {
        let socket = socket(kind, "ann");
        stage.connect(&socket, 1).await;
        let ended = Some(Ended { lesson: None, was_latest: true });
        assert_eq!(stage.state.end(A, &socket, None).await.unwrap(), ended);
        assert_eq!(stage.state.end(A, &socket, None).await.unwrap(), None);
    }
}

async fn the_end_of_an_earlier_socket_takes_nothing_from_a_later_one(stage: &Stage) {
    let (early, late) = (socket(Kind::Teacher, "ann"), socket(Kind::Teacher, "ann"));
    for (replica, socket) in [(A, &early), (B, &late)] {
        stage.state.connect(replica, socket, 1).await.unwrap();
        stage.state.join(replica, socket, &entry("math")).await.unwrap();
    }
    let before = stage.everything().await;
    let ended = stage.state.end(A, &early, None).await.unwrap().unwrap();
    assert_eq!(ended, Ended { lesson: Some("math".parse().unwrap()), was_latest: false });
    assert_eq!(stage.everything().await, before);
    assert_eq!(stage.hash(ALIVE).await.unwrap().1, None);
    assert!(stage.state.end(B, &late, None).await.unwrap().unwrap().was_latest);
}

async fn of_two_sockets_the_one_that_stays_keeps_its_teacher_here(stage: &Stage) {
    let (early, late) = (socket(Kind::Teacher, "ann"), socket(Kind::Teacher, "ann"));
    stage.connect(&early, 1).await;
    stage.connect(&late, 2).await;
    assert!(!stage.state.end(A, &late, None).await.unwrap().unwrap().was_latest);
    assert_eq!(stage.hash(ALIVE).await.unwrap().0["state"], "connect");
    assert!(stage.state.end(A, &early, None).await.unwrap().unwrap().was_latest);
    assert_eq!(stage.hash(ALIVE).await.unwrap().0["state"], "disconnect");
}

async fn a_teacher_is_told_apart_by_org_and_kind(stage: &Stage) {
    let teacher = socket(Kind::Teacher, "ann");
    let mut elsewhere = socket(Kind::Teacher, "ann");
    elsewhere.org_id = "o2".parse().unwrap();
    let student = socket(Kind::Student, "ann");
    for socket in [&teacher, &elsewhere, &student] {
        stage.connect(socket, 1).await;
    }
    assert!(stage.state.end(A, &teacher, None).await.unwrap().unwrap().was_latest);
    assert_eq!(stage.hash(ALIVE).await.unwrap().0["state"], "disconnect");
    assert_eq!(stage.hash("alive:org_o2_user_ann").await.unwrap().0["state"], "connect");
}

async fn whoever_comes_back_is_here_again(stage: &Stage) {
    let (early, late) = (socket(Kind::Teacher, "ann"), socket(Kind::Teacher, "ann"));
    stage.connect(&early, 1).await;
    stage.state.end(A, &early, None).await.unwrap().unwrap();
    stage.connect(&late, 2).await;
    let alive = fields([("login_time", "2"), ("state", "connect")]);
    assert_eq!(stage.hash(ALIVE).await, Some((alive, None)));
}

async fn a_recovery_goes_with_those_who_leave(stage: &Stage) {
    let (one, other) = (socket(Kind::Student, "ann"), socket(Kind::Student, "bob"));
    let pids: [presence_core::ids::RecoveryId; 2] = ["one", "other"].map(|pid| pid.parse().unwrap());
    for (socket, pid) in [&one, &other].into_iter().zip(&pids) {
        stage.connect(socket, 1).await;
        let kept = recovery(socket, &"math".parse().unwrap());
        let entry = Entry { recovery: Some((pid.clone(), kept)), ..entry("math") };
        stage.state.join(A, socket, &entry).await.unwrap();
    }
    stage.state.end(A, &one, None).await.unwrap().unwrap();
    stage.state.end(A, &other, Some(&pids[1])).await.unwrap().unwrap();
    assert!(stage.state.recovery(&pids[0]).await.unwrap().is_some());
    assert_eq!(stage.state.recovery(&pids[1]).await.unwrap(), None);
    // It left after all: its recovery goes, though its end was told.
    assert_eq!(stage.state.end(A, &one, Some(&pids[0])).await.unwrap(), None);
    assert_eq!(stage.state.recovery(&pids[0]).await.unwrap(), None);
}

async fn what_is_lost_ends_like_any_other_and_once(stage: &Stage) {
    let ann = socket(Kind::Teacher, "ann");
    stage.connect(&ann, 1).await;
    stage.join(&ann, "math").await;
    stage.flush().await;
    let ended = Some(Ended { lesson: None, was_latest: true });
    assert_eq!(stage.state.end(A, &ann, None).await.unwrap(), ended);
    assert_eq!(stage.state.end(A, &ann, None).await.unwrap(), None);
    assert_eq!(stage.everything().await, [].into());
}

async fn what_is_lost_and_joins_then_leaves_the_lesson_at_its_end(stage: &Stage) {
    for kind in [Kind::Teacher, Kind::Student] {
        let (ann, bob) = (socket(kind, "ann"), socket(kind, "bob"));
        stage.connect(&ann, 1).await;
        stage.flush().await;
        stage.join(&ann, "math").await;
        stage.connect(&bob, 2).await;
        stage.join(&bob, "math").await;
        let ended = stage.state.end(A, &ann, None).await.unwrap().unwrap();
        assert_eq!(ended, Ended { lesson: Some("math".parse().unwrap()), was_latest: true });
        let (members, _) = stage.hash(&format!("lesson_{kind}_math")).await.unwrap();
        assert_eq!(members, fields([("bob", bob.sid.as_str())]));
    }
}

async fn a_connect_that_was_overtaken_leaves_no_name_behind(stage: &Stage) {
    for kind in [Kind::Teacher, Kind::Student, Kind::Manager] {
        let (stays, late) = (socket(kind, "ann"), socket(kind, "ann"));
        stage.connect(&stays, 2).await;
        // It was asked for earlier, and done later.
        stage.connect(&late, 1).await;
        assert!(!stage.state.end(A, &late, None).await.unwrap().unwrap().was_latest);
        let key = if kind == Kind::Manager { "manager:org_o1_user_ann" } else { "ann" };
        let (user, _) = stage.hash(key).await.unwrap();
        assert_eq!(user["sid"], stays.sid.as_str(), "{kind}");
        assert!(stage.state.end(A, &stays, None).await.unwrap().unwrap().was_latest);
    }
}

async fn whoever_has_ended_enters_nothing_any_more(stage: &Stage) {
    let ann = socket(Kind::Teacher, "ann");
    stage.state.end(A, &ann, None).await.unwrap();
    stage.connect(&ann, 1).await;
    stage.join(&ann, "math").await;
    let entered = Entered { socket: ann, lesson: None };
    stage.state.restore(A, &entered, 1, 3).await.unwrap();
    assert_eq!(stage.everything().await, [].into());
    assert_eq!(stage.state.replicas().await.unwrap(), []);
}

async fn that_a_socket_ended_is_forgotten_in_time(stage: &Stage) {
    let bob = socket(Kind::Student, "bob");
    stage.connect(&bob, 1).await;
    stage.state.end(A, &bob, None).await.unwrap();
    for told in ["ended", "gone"] {
        stage.outlive(&format!("presence:{told}:{}", bob.sid), Duration::from_secs(HOUR)).await;
    }
    let ours: Vec<_> = stage.names().await.into_iter().filter(|name| name.starts_with("presence:")).collect();
    assert_eq!(ours, [""; 0]);
}

async fn a_connection_taken_up_is_seen_as_before_and_ends_by_itself(stage: &Stage) {
    // As long as the door's own.
    let id = |letter: &str| letter.repeat(22).parse::<presence_core::ids::SocketId>().unwrap();
    let mut first = socket(Kind::Teacher, "ann");
    first.sid = id("a");
    let again = AppSocket { sid: first.sid.taken_up(&id("b")), ..first.clone() };
    for joined_before_the_end in [true, false] {
        stage.flush().await;
        stage.connect(&first, 1).await;
        stage.join(&first, "math").await;
        let before = stage.everything().await;
        stage.state.connect(B, &again, 1).await.unwrap();
        if joined_before_the_end {
            stage.state.join(B, &again, &entry("math")).await.unwrap();
        }
        assert!(!stage.state.end(A, &first, None).await.unwrap().unwrap().was_latest);
        assert_eq!(stage.hash("lesson_teacher_math").await.is_some(), joined_before_the_end);
        stage.state.join(B, &again, &entry("math")).await.unwrap();
        assert_eq!(stage.everything().await, before);
        assert!(stage.state.end(B, &again, None).await.unwrap().unwrap().was_latest);
        assert_eq!(stage.hash("lesson_teacher_math").await, None);
    }
}

async fn a_connection_that_was_taken_up_ends_and_nothing_is_seen_of_it(stage: &Stage) {
    let former = AppSocket { sid: "s".repeat(22).parse().unwrap(), ..socket(Kind::Teacher, "ann") };
    let later = AppSocket { sid: former.sid.taken_up(&"t".repeat(22).parse().unwrap()), ..former.clone() };
    let pid: presence_core::ids::RecoveryId = "pid".parse().unwrap();
    for (replica, socket) in [(A, &former), (B, &later)] {
        stage.state.connect(replica, socket, 1).await.unwrap();
        let kept = recovery(socket, &"math".parse().unwrap());
        let entry = Entry { recovery: Some((pid.clone(), kept)), ..entry("math") };
        stage.state.join(replica, socket, &entry).await.unwrap();
        assert_eq!(stage.hash("ann").await.unwrap().0["sid"], former.sid.as_str());
        assert_eq!(stage.hash("lesson_teacher_math").await.unwrap().0["ann"], former.sid.as_str());
    }
    let before = stage.everything().await;
    let ended = stage.state.end(A, &former, Some(&pid)).await.unwrap().unwrap();
    assert!(!ended.was_latest);
    assert_eq!(stage.everything().await, before);
    assert!(stage.state.recovery(&pid).await.unwrap().is_some());
    let entered = Entered { socket: later.clone(), lesson: Some("math".parse().unwrap()) };
    stage.flush().await;
    stage.state.restore(B, &entered, 1, 3).await.unwrap();
    assert_eq!(stage.everything().await, before);
    assert!(stage.state.end(B, &later, Some(&pid)).await.unwrap().unwrap().was_latest);
    assert_eq!(stage.hash("lesson_teacher_math").await, None);
}
