//! A state that was lost is as it was once each replica has restored its sockets, in whatever order.

use super::stage::{A, B, DAY, Stage, assert_lives, entry, fields, on_every_lesson_state, socket};
use presence::ports::lesson_state::{AppSocket, Entered, Entry};
use presence_core::{
    app::Kind,
    ids::{ReplicaId, SocketId},
};

on_every_lesson_state!(
    what_was_lost_is_restored_as_it_was,
    a_restore_takes_nothing_from_a_later_socket,
    whoever_came_after_the_loss_keeps_what_is_theirs,
    a_teacher_who_was_told_away_and_is_here_is_put_right,
    a_restore_of_what_is_there_changes_nothing,
    whoever_is_restored_twice_ends_once,
    one_who_ended_before_the_others_were_restored_is_named_no_longer,
    one_who_was_taken_up_and_ended_is_named_no_longer,
    one_who_was_taken_up_is_there_and_keeps_its_name,
    whoever_cannot_have_a_lesson_yet_is_missing_there_until_it_can,
);

type Lives = Vec<(ReplicaId, Entered, i64)>;

/// Every kind, and a teacher with two sockets, of which the earlier one is in a lesson.
async fn play(stage: &Stage) -> Lives {
    let mut lives: Lives = vec![];
    let mut enter = |replica, socket: AppSocket, at, lesson: Option<&str>| {
        let lesson = lesson.map(|lesson| lesson.parse().unwrap());
        lives.push((replica, Entered { socket, lesson }, at));
    };
    enter(A, socket(Kind::Teacher, "ann"), 1, Some("math"));
    enter(B, socket(Kind::Teacher, "ann"), 2, None);
    enter(A, socket(Kind::Teacher, "tom"), 3, Some("art"));
    enter(B, socket(Kind::Student, "bob"), 4, Some("math"));
    enter(B, socket(Kind::Manager, "max"), 5, None);
    enter(A, socket(Kind::TeacherHub, "hub"), 6, None);
    for (replica, Entered { socket, lesson }, at) in &lives {
        stage.state.connect(*replica, socket, *at).await.unwrap();
        if let Some(lesson) = lesson {
            stage.state.join(*replica, socket, &entry(lesson.as_str())).await.unwrap();
        }
    }
    lives
}

async fn restore(stage: &Stage, lives: impl IntoIterator<Item = &(ReplicaId, Entered, i64)>) {
    for (replica, entered, at) in lives {
        stage.state.restore(*replica, entered, *at, 3).await.unwrap();
    }
}

async fn what_was_lost_is_restored_as_it_was(stage: &Stage) {
    let lives = play(stage).await;
    let before = stage.everything().await;
    assert_eq!(before.len(), 11, "{before:?}");
    for backwards in [false, true] {
        stage.flush().await;
        assert_eq!(stage.everything().await, [].into());
        if backwards {
            restore(stage, lives.iter().rev()).await;
        } else {
            restore(stage, &lives).await;
        }
        assert_eq!(stage.everything().await, before);
        assert_lives(&stage.hash("lesson_teacher_math").await.unwrap(), DAY);
        assert_eq!(stage.hash("lesson_seat_math").await.unwrap().1, None);
        for replica in [A, B] {
            let mut found = stage.state.entered(replica).await.unwrap();
            let mut expected: Vec<_> =
                lives.iter().filter(|it| it.0 == replica).map(|it| it.1.clone()).collect();
            found.sort_by(|one, other| one.socket.sid.cmp(&other.socket.sid));
            expected.sort_by(|one, other| one.socket.sid.cmp(&other.socket.sid));
            assert_eq!(found, expected);
        }
    }
    // And it ends as it would have.
    let last: Vec<_> = {
        let mut last = vec![];
        for (replica, entered, _) in &lives {
            last.push(stage.state.end(*replica, &entered.socket, None).await.unwrap().unwrap().was_latest);
        }
        last
    };
    assert_eq!(last, [false, true, true, true, true, true]);
}

async fn a_restore_takes_nothing_from_a_later_socket(stage: &Stage) {
    let (early, late) = (socket(Kind::Teacher, "ann"), socket(Kind::Teacher, "ann"));
    for (socket, at) in [(&early, 1), (&late, 2)] {
        stage.connect(socket, at).await;
        stage.join(socket, "math").await;
    }
    let before = stage.everything().await;
    let lost = Entered { socket: early, lesson: Some("math".parse().unwrap()) };
    stage.state.restore(A, &lost, 1, 3).await.unwrap();
    assert_eq!(stage.everything().await, before);
}

async fn whoever_came_after_the_loss_keeps_what_is_theirs(stage: &Stage) {
    let (early, late) = (socket(Kind::Student, "bob"), socket(Kind::Student, "bob"));
    stage.connect(&early, 1).await;
    stage.join(&early, "math").await;
    stage.flush().await;
    stage.state.connect(B, &late, 9).await.unwrap();
    stage.state.join(B, &late, &entry("math")).await.unwrap();
    let before = stage.everything().await;
    let lost = Entered { socket: early, lesson: Some("math".parse().unwrap()) };
    stage.state.restore(A, &lost, 1, 3).await.unwrap();
    assert_eq!(stage.everything().await, before);
}

async fn a_teacher_who_was_told_away_and_is_here_is_put_right(stage: &Stage) {
    let (early, late) = (socket(Kind::Teacher, "ann"), socket(Kind::Teacher, "ann"));
    stage.connect(&early, 1).await;
    stage.connect(&late, 2).await;
    stage.flush().await;
    let lost = |socket: &AppSocket| Entered { socket: socket.clone(), lesson: None };
    stage.state.restore(A, &lost(&early), 1, 3).await.unwrap();
    // The other one is not back yet, so the teacher seems to be gone.
    assert!(stage.state.end(A, &early, None).await.unwrap().unwrap().was_latest);
    stage.state.restore(A, &lost(&late), 2, 3).await.unwrap();
    let alive = (fields([("login_time", "2"), ("state", "connect")]), None);
    assert_eq!(stage.hash("alive:org_o1_user_ann").await, Some(alive));
}

async fn a_restore_of_what_is_there_changes_nothing(stage: &Stage) {
    let lives = play(stage).await;
    let before = stage.everything().await;
    restore(stage, lives.iter().rev()).await;
    assert_eq!(stage.everything().await, before);
}

async fn whoever_is_restored_twice_ends_once(stage: &Stage) {
    let ann = socket(Kind::Teacher, "ann");
    let lost = Entered { socket: ann.clone(), lesson: None };
    restore(stage, &[(A, lost.clone(), 1), (A, lost.clone(), 1)]).await;
    assert!(stage.state.end(A, &ann, None).await.unwrap().is_some());
    restore(stage, &[(A, lost, 1)]).await;
    assert_eq!(stage.state.end(A, &ann, None).await.unwrap(), None);
    assert_eq!(stage.state.entered(A).await.unwrap(), []);
}

/// Whom others are told to find under a user's name.
async fn named(stage: &Stage, socket: &AppSocket) -> String {
    let key = if socket.kind == Kind::Manager { "manager:org_o1_user_ann" } else { socket.user_id.as_str() };
    stage.hash(key).await.unwrap().0["sid"].clone()
}

/// As long as the door's own, and one that takes it up.
fn taken_up(kind: Kind) -> (AppSocket, AppSocket) {
    let id = |letter: &str| letter.repeat(22).parse::<SocketId>().unwrap();
    let former = AppSocket { sid: id("f"), ..socket(kind, "ann") };
    let later = AppSocket { sid: former.sid.taken_up(&id("l")), ..former.clone() };
    (former, later)
}

const fn alone(socket: AppSocket) -> Entered {
    Entered { socket, lesson: None }
}

async fn one_who_ended_before_the_others_were_restored_is_named_no_longer(stage: &Stage) {
    for kind in [Kind::Teacher, Kind::Student, Kind::Manager] {
        for times in [(1, 2), (2, 2), (2, 1)] {
            stage.flush().await;
            let (gone, stays) = (socket(kind, "ann"), socket(kind, "ann"));
            stage.state.restore(A, &alone(gone.clone()), times.0, 3).await.unwrap();
            // The other one is not back yet, so nobody else can be named.
            assert!(stage.state.end(A, &gone, None).await.unwrap().unwrap().was_latest);
            assert_eq!(named(stage, &gone).await, gone.sid.as_str(), "who was here last can be read");
            stage.state.restore(B, &alone(stays.clone()), times.1, 3).await.unwrap();
            assert_eq!(named(stage, &stays).await, stays.sid.as_str(), "{kind}, {times:?}");
        }
    }
}

async fn one_who_was_taken_up_and_ended_is_named_no_longer(stage: &Stage) {
    let ((former, later), stays) = (taken_up(Kind::Student), socket(Kind::Student, "ann"));
    // It joins with a token before it is restored, and ends before that, too.
    stage.state.join(B, &later, &Entry { by_token: true, ..entry("math") }).await.unwrap();
    stage.state.end(B, &later, None).await.unwrap().unwrap();
    assert_eq!(named(stage, &later).await, former.sid.as_str());
    stage.state.restore(A, &alone(stays.clone()), 1, 3).await.unwrap();
    assert_eq!(named(stage, &stays).await, stays.sid.as_str());
    // Neither end of the two is a mark that the other one leaves.
    stage.flush().await;
    for (replica, ends) in [(A, &former), (B, &later)] {
        stage.state.restore(replica, &alone(ends.clone()), 1, 3).await.unwrap();
        stage.state.end(replica, ends, None).await.unwrap().unwrap();
    }
    stage.state.restore(A, &alone(stays.clone()), 1, 3).await.unwrap();
    assert_eq!(named(stage, &stays).await, stays.sid.as_str());
}

async fn one_who_was_taken_up_is_there_and_keeps_its_name(stage: &Stage) {
    for (kind, other) in [(Kind::Teacher, Kind::Student), (Kind::Student, Kind::Teacher)] {
        // Teachers and students have one key between them, and know nothing of each other's sockets.
        let ((former, later), stranger) = (taken_up(kind), socket(other, "ann"));
        for taken_up in ["before the end", "after it", "and restored"] {
            stage.flush().await;
            stage.connect(&former, 2).await;
            if taken_up == "before the end" {
                stage.state.connect(B, &later, 2).await.unwrap();
            }
            stage.state.end(A, &former, None).await.unwrap().unwrap();
            match taken_up {
                "after it" => drop(stage.state.connect(B, &later, 2).await.unwrap()),
                "and restored" => drop(stage.state.restore(B, &alone(later.clone()), 2, 3).await.unwrap()),
                _ => {}
            }
            stage.state.restore(A, &alone(stranger.clone()), 1, 3).await.unwrap();
            assert_eq!(named(stage, &later).await, former.sid.as_str(), "{kind}, taken up {taken_up}");
        }
    }
}

async fn whoever_cannot_have_a_lesson_yet_is_missing_there_until_it_can(stage: &Stage) {
    let (early, late) = (socket(Kind::Student, "ann"), socket(Kind::Student, "ann"));
    for (early, late) in [(early, late), taken_up(Kind::Student)] {
        // By its replica's clock the later one came no later; and its join was not written.
        stage.flush().await;
        stage.connect(&early, 2).await;
        stage.join(&early, "math").await;
        stage.state.connect(B, &late, 2).await.unwrap();
        let before = stage.everything().await;
        let whole = Entered { socket: late.clone(), lesson: Some("math".parse().unwrap()) };
        stage.state.restore(B, &whole, 2, 3).await.unwrap();
        assert_eq!(stage.everything().await, before);
        assert_eq!(stage.state.entered(B).await.unwrap(), [alone(late.clone())], "to be restored again");
        stage.state.end(A, &early, None).await.unwrap().unwrap();
        stage.state.restore(B, &whole, 2, 3).await.unwrap();
        assert_eq!(stage.state.entered(B).await.unwrap(), [whole]);
        let (members, _) = stage.hash("lesson_student_math").await.unwrap();
        assert_eq!(members, fields([("ann", late.sid.shown().as_str())]));
    }
}
