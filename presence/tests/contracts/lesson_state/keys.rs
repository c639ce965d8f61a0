//! What connecting, joining and logging out write, key for key.

use super::stage::{DAY, Stage, assert_lives, entry, fields, on_every_lesson_state, recovery, socket};
use presence::ports::{
    Fault,
    lesson_state::{Entered, Entry, Known},
};
use presence_core::{app::Kind, ids::ReplicaId};

on_every_lesson_state!(
    a_teacher_who_connects_is_alive_and_known,
    a_student_who_connects_is_known,
    a_manager_who_connects_is_known_under_the_org,
    a_hub_writes_nothing_that_others_read,
    whoever_comes_back_is_known_with_the_last_lesson,
    a_step_that_is_repeated_changes_nothing,
    joining_makes_the_seats_and_writes_who_is_in_the_lesson,
    seats_that_are_there_are_left_alone,
    with_a_token_the_users_key_is_written_again_and_expires,
    a_recovery_reads_back,
    managers_and_hubs_join_nothing,
    logging_out_removes_the_alive_key_and_no_other,
    a_lessons_room_reads_back,
    what_is_entered_is_there_under_its_replica,
);

async fn a_teacher_who_connects_is_alive_and_known(stage: &Stage) {
    let ann = socket(Kind::Teacher, "ann");
    let known = stage.state.connect(super::stage::A, &ann, 1_700_000_000).await.unwrap();
    assert_eq!(known, Known::default());
    let alive = (fields([("login_time", "1700000000"), ("state", "connect")]), None);
    assert_eq!(stage.hash("alive:org_o1_user_ann").await, Some(alive));
    let sid = ann.sid.as_str();
    let user = fields([("sid", sid), ("client_id", "ann"), ("role", "teacher"), ("org_id", "o1")]);
    assert_eq!(stage.hash("ann").await, Some((user, None)));
    assert_eq!(stage.everything().await.len(), 2);
}

async fn a_student_who_connects_is_known(stage: &Stage) {
    let bob = socket(Kind::Student, "bob");
    stage.connect(&bob, 1).await;
    let user =
        fields([("sid", bob.sid.as_str()), ("client_id", "bob"), ("role", "student"), ("org_id", "o1")]);
    assert_eq!(stage.everything().await, [("bob".to_owned(), user)].into());
}

async fn a_manager_who_connects_is_known_under_the_org(stage: &Stage) {
    let max = socket(Kind::Manager, "max");
    stage.connect(&max, 1).await;
    let user =
        fields([("sid", max.sid.as_str()), ("client_id", "max"), ("role", "teacher"), ("org_id", "o1")]);
    assert_eq!(stage.everything().await, [("manager:org_o1_user_max".to_owned(), user)].into());
}

async fn a_hub_writes_nothing_that_others_read(stage: &Stage) {
    stage.connect(&socket(Kind::TeacherHub, "hub"), 1).await;
    assert_eq!(stage.everything().await, [].into());
}

async fn whoever_comes_back_is_known_with_the_last_lesson(stage: &Stage) {
    for kind in [Kind::Teacher, Kind::Student] {
        let (first, second) = (socket(kind, kind.as_str()), socket(kind, kind.as_str()));
        stage.connect(&first, 1).await;
        stage.join(&first, "math").await;
        stage.state.end(super::stage::A, &first, None).await.unwrap();
        let known = stage.state.connect(super::stage::B, &second, 2).await.unwrap();
        assert_eq!(known, Known { before: true, lesson: Some("math".parse().unwrap()) });
        assert_eq!(stage.hash(kind.as_str()).await.unwrap().0["sid"], second.sid.as_str());
    }
    let (first, second) = (socket(Kind::Manager, "max"), socket(Kind::Manager, "max"));
    stage.connect(&first, 1).await;
    let known = stage.state.connect(super::stage::B, &second, 2).await.unwrap();
    assert_eq!(known, Known { before: true, lesson: None });
}

async fn a_step_that_is_repeated_changes_nothing(stage: &Stage) {
    let ann = socket(Kind::Teacher, "ann");
    stage.connect(&ann, 1).await;
    let before = stage.everything().await;
    let known = stage.state.connect(super::stage::A, &ann, 1).await.unwrap();
    assert_eq!((known, stage.everything().await), (Known::default(), before));
    stage.join(&ann, "math").await;
    let before = stage.everything().await;
    stage.join(&ann, "math").await;
    assert_eq!(stage.everything().await, before);
    assert_eq!(stage.state.entered(super::stage::A).await.unwrap().len(), 1);
}

async fn joining_makes_the_seats_and_writes_who_is_in_the_lesson(stage: &Stage) {
    let (ann, bob) = (socket(Kind::Teacher, "ann"), socket(Kind::Student, "bob"));
    for (socket, members) in [(&ann, "lesson_teacher_math"), (&bob, "lesson_student_math")] {
        stage.connect(socket, 1).await;
        let known = stage.state.join(super::stage::A, socket, &entry("math")).await.unwrap();
        assert_eq!(known, Known { before: true, lesson: None });
        let user = socket.user_id.as_str();
        let hash = stage.hash(members).await.unwrap();
        assert_eq!(hash.0, fields([(user, socket.sid.as_str())]));
        assert_lives(&hash, DAY);
        let (of_user, left) = stage.hash(user).await.unwrap();
        assert_eq!((of_user["lesson_id"].as_str(), of_user.len(), left), ("math", 5, None));
    }
    let seats = (fields([("1", ""), ("2", ""), ("3", "")]), None);
    assert_eq!(stage.hash("lesson_seat_math").await, Some(seats));
}

async fn seats_that_are_there_are_left_alone(stage: &Stage) {
    let (ann, bob) = (socket(Kind::Student, "ann"), socket(Kind::Student, "bob"));
    stage.connect(&ann, 1).await;
    stage.join(&ann, "math").await;
    stage.take_seat("math", "2", "bob").await;
    let before = stage.hash("lesson_seat_math").await;
    stage.connect(&bob, 1).await;
    let more = Entry { seats: 1_000, ..entry("math") };
    stage.state.join(super::stage::A, &bob, &more).await.unwrap();
    assert_eq!(stage.hash("lesson_seat_math").await, before);
    stage.state.join(super::stage::A, &bob, &Entry { lesson: "art".parse().unwrap(), ..more }).await.unwrap();
    assert_eq!(stage.hash("lesson_seat_art").await.unwrap().0.len(), 1_000);
}

async fn with_a_token_the_users_key_is_written_again_and_expires(stage: &Stage) {
    let (first, second) = (socket(Kind::Student, "bob"), socket(Kind::Student, "bob"));
    stage.connect(&first, 1).await;
    stage.connect(&second, 2).await;
    let by_token = Entry { by_token: true, ..entry("math") };
    let known = stage.state.join(super::stage::A, &first, &by_token).await.unwrap();
    assert!(known.before);
    let hash = stage.hash("bob").await.unwrap();
    let sid = first.sid.as_str();
    let user =
        [("sid", sid), ("client_id", "bob"), ("role", "student"), ("org_id", "o1"), ("lesson_id", "math")];
    assert_eq!(hash.0, fields(user));
    assert_lives(&hash, DAY);
    // The next connection is not to lose it in the middle of its day.
    stage.connect(&socket(Kind::Student, "bob"), 3).await;
    assert_eq!(stage.hash("bob").await.unwrap().1, None);
}

async fn a_recovery_reads_back(stage: &Stage) {
    let (ann, pid) = (socket(Kind::Teacher, "ann"), "pid-of-ann".parse().unwrap());
    assert_eq!(stage.state.recovery(&pid).await.unwrap(), None);
    stage.connect(&ann, 1).await;
    let kept = recovery(&ann, &"math".parse().unwrap());
    let entry = Entry { recovery: Some((pid.clone(), kept.clone())), ..entry("math") };
    stage.state.join(super::stage::A, &ann, &entry).await.unwrap();
    assert_eq!(stage.state.recovery(&pid).await.unwrap(), Some(kept));
    stage.outlive("presence:recovery:pid-of-ann", std::time::Duration::from_secs(DAY)).await;
    assert_eq!(stage.state.recovery(&pid).await.unwrap(), None);
}

async fn managers_and_hubs_join_nothing(stage: &Stage) {
    for kind in [Kind::Manager, Kind::TeacherHub] {
        let socket = socket(kind, "max");
        stage.connect(&socket, 1).await;
        let before = stage.everything().await;
        let refused = stage.state.join(super::stage::A, &socket, &entry("math")).await;
        assert!(matches!(refused, Err(Fault::Failed { .. })), "{refused:?}");
        assert_eq!(stage.everything().await, before);
    }
}

async fn logging_out_removes_the_alive_key_and_no_other(stage: &Stage) {
    let ann = socket(Kind::Teacher, "ann");
    stage.connect(&ann, 1).await;
    stage.state.log_out(&ann.org_id, &ann.user_id).await.unwrap();
    stage.state.log_out(&ann.org_id, &ann.user_id).await.unwrap();
    assert_eq!(stage.everything().await.into_keys().collect::<Vec<_>>(), ["ann"]);
    // Whoever logged out is not said to be away afterwards.
    let ended = stage.state.end(super::stage::A, &ann, None).await.unwrap().unwrap();
    assert!(ended.was_latest);
    assert_eq!(stage.hash("alive:org_o1_user_ann").await, None);
}

async fn a_lessons_room_reads_back(stage: &Stage) {
    let lesson = "math".parse().unwrap();
    assert_eq!(stage.state.room(&lesson).await.unwrap(), None);
    for room in ["r 1 \"ü\"", "r2"] {
        stage.state.set_room(&lesson, room).await.unwrap();
        assert_eq!(stage.state.room(&lesson).await.unwrap().as_deref(), Some(room));
        assert_eq!(stage.text("lesson_room_math").await.as_deref(), Some(room));
    }
}

async fn what_is_entered_is_there_under_its_replica(stage: &Stage) {
    assert_eq!(stage.state.replicas().await.unwrap(), []);
    let replicas = [ReplicaId(0xa), ReplicaId(u128::MAX)];
    let mut expected = vec![];
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        let socket = socket(kind, &format!("u{n}"));
        stage.state.connect(replicas[n % 2], &socket, 1).await.unwrap();
        expected.push((replicas[n % 2], Entered { socket, lesson: None }));
    }
    for (replica, entered) in expected.iter_mut().filter(|(_, it)| it.socket.kind.joins_lessons()) {
        stage.state.join(*replica, &entered.socket, &entry("math")).await.unwrap();
        entered.lesson = Some("math".parse().unwrap());
    }
    let mut found = stage.state.replicas().await.unwrap();
    found.sort();
    assert_eq!(found, replicas);
    for replica in replicas {
        let mut found = stage.state.entered(replica).await.unwrap();
        found.sort_by(|one, other| one.socket.sid.cmp(&other.socket.sid));
        let expected: Vec<_> = expected.iter().filter(|it| it.0 == replica).map(|it| it.1.clone()).collect();
        assert_eq!(found, expected);
        for entered in found {
            stage.state.end(replica, &entered.socket, None).await.unwrap().unwrap();
        }
    }
    assert_eq!(stage.state.replicas().await.unwrap(), []);
    assert_eq!(stage.state.entered(replicas[0]).await.unwrap(), []);
}
