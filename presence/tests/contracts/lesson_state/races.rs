//! Many at once, from several processes: nothing that somebody wrote is lost, and nothing is done twice.

use super::stage::{A, B, Stage, entry, on_every_lesson_state, socket};
use presence_core::app::Kind;
use std::sync::Arc;
use tokio::task::JoinSet;

on_every_lesson_state!(
    a_hundred_joins_at_once_lose_no_seat_that_somebody_takes,
    many_who_end_one_socket_tell_of_it_once,
    a_hundred_who_come_and_go_leave_nothing,
);

async fn a_hundred_joins_at_once_lose_no_seat_that_somebody_takes(on: &Stage) {
    let (other, _kept) = on.another().await;
    let mut joining = JoinSet::new();
    for n in 0..100 {
        let student = socket(Kind::Student, &format!("student-{n}"));
        let state = if n % 2 == 0 { on.state.clone() } else { Arc::clone(&other) };
        joining.spawn(async move {
            state.connect(A, &student, 1).await.unwrap();
            let many = presence::ports::lesson_state::Entry { seats: 100, ..entry("math") };
            state.join(A, &student, &many).await.unwrap();
            student
        });
    }
    let mut seated = 0;
    while let Some(student) = joining.join_next().await {
        let student = student.unwrap();
        seated += 1;
        on.take_seat("math", &seated.to_string(), student.user_id.as_str()).await;
    }
    let seats = on.hash("lesson_seat_math").await.unwrap().0;
    let taken = seats.values().filter(|student| !student.is_empty()).count();
    assert_eq!((seats.len(), taken), (100, if on.is_shared() { 100 } else { 0 }));
    assert_eq!(on.hash("lesson_student_math").await.unwrap().0.len(), 100);
    assert_eq!(on.state.entered(A).await.unwrap().len(), 100);
}

async fn many_who_end_one_socket_tell_of_it_once(on: &Stage) {
    let (other, _kept) = on.another().await;
    let ann = socket(Kind::Teacher, "ann");
    on.connect(&ann, 1).await;
    let mut ending = JoinSet::new();
    for n in 0..20 {
        let (state, ann) = (if n % 2 == 0 { on.state.clone() } else { other.clone() }, ann.clone());
        ending.spawn(async move { state.end(A, &ann, None).await.unwrap().is_some() });
    }
    let told = ending.join_all().await.into_iter().filter(|told| *told).count();
    assert_eq!(told, 1);
}

async fn a_hundred_who_come_and_go_leave_nothing(on: &Stage) {
    let (other, _kept) = on.another().await;
    let mut coming = JoinSet::new();
    for n in 0..100 {
        // Ten users with ten sockets each, on two replicas.
        let (kind, user) = ([Kind::Teacher, Kind::Student][n % 2], format!("user-{}", n % 10));
        let (replica, state) = [(A, on.state.clone()), (B, other.clone())][n % 2].clone();
        let socket = socket(kind, &user);
        coming.spawn(async move {
            state.connect(replica, &socket, 1).await.unwrap();
            state.join(replica, &socket, &entry("math")).await.unwrap();
            state.end(replica, &socket, None).await.unwrap().unwrap().was_latest
        });
    }
    let last = coming.join_all().await.into_iter().filter(|last| *last).count();
    assert!(last >= 10, "each user was gone at least once: {last}");
    assert_eq!(on.state.replicas().await.unwrap(), []);
    for key in ["lesson_teacher_math", "lesson_student_math"] {
        assert_eq!(on.hash(key).await, None);
    }
    for n in (0..10).step_by(2) {
        let alive = on.hash(&format!("alive:org_o1_user_user-{n}")).await.unwrap();
        assert_eq!(alive.0["state"], "disconnect");
    }
    assert!(!on.names().await.iter().any(|name| name.starts_with("presence:user:")));
}
