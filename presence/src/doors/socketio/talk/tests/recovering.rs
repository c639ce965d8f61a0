//! Connections that are taken up again, here and elsewhere, and those that cannot be.

use super::{World, client::App, ending::shed, eventually};
use crate::{engine::Engine, ports::lesson_state::LessonState as _};
use std::sync::Arc;

/// Ann is in the lesson on the first replica, and bob sees it from the second.
async fn a_lesson() -> (World, Arc<Engine>, Arc<Engine>, App, App) {
    let world = World::begin().await;
    let (a, b) = (world.replica("a").await, world.replica("b").await);
    let mut bob = App::enter(&b, "student", "bob").await;
    bob.join("bob", "student").await;
    let mut ann = App::enter(&a, "teacher", "ann").await;
    ann.join("ann", "teacher").await;
    bob.hear_event().await;
    (world, a, b, ann, bob)
}

fn is_empty(engine: &Engine) -> bool {
    engine.apps.as_ref().unwrap().present.is_empty()
}

#[tokio::test]
async fn a_connection_is_taken_up_elsewhere_with_what_it_missed() {
    let (world, a, b, mut ann, mut bob) = a_lesson().await;
    let hub = App::enter(&b, "teacher_hub", "h").await;
    world.say_in("math");
    let (_, offset) = ann.hear_event().await;
    bob.hear_event().await;
    let (sid, pid) = (ann.sid.clone(), ann.pid.clone());
    ann.break_off();
    world.say_in("math");
    world.say_in("art");
    world.say_in("math");
    let mut again = App::come_back(&b, ("teacher", "ann"), &pid, Some(&offset)).await;
    assert_eq!((&again.sid, &again.pid), (&sid, &pid));
    let (first, second) = (again.hear_event().await.1, again.hear_event().await.1);
    assert!(offset < first && first < second);
    eventually("the end of the first", || is_empty(&a)).await;
    for _ in 0..2 {
        assert_eq!(bob.hear_event().await.0, "added ");
    }
    assert_eq!((bob.unheard(), hub.unheard(), again.unheard()), (0, 0, 0));
    assert_eq!(world.key("lesson_teacher_math"), [format!("ann={sid}")]);
    assert_eq!(world.reports.all(), ["reconnect ann math -"]);
    world.say_in("math");
    assert_eq!(again.hear_event().await.0, "added ");
}

#[tokio::test]
async fn a_client_that_has_heard_nothing_yet_is_recovered_again_and_again() {
    let (world, a, b, ann, mut bob) = a_lesson().await;
    let (sid, pid) = (ann.sid.clone(), ann.pid.clone());
    ann.break_off();
    for (n, engine) in [&b, &a, &a, &b].into_iter().enumerate() {
        let mut again = App::come_back(engine, ("teacher", "ann"), &pid, None).await;
        assert_eq!((&again.sid, &again.pid, again.unheard()), (&sid, &pid, 0), "{n}");
        let refused = again.ask("join_lesson", &super::client::wish("ann", "teacher")).await;
        assert_eq!(refused["data"]["code"], "already_joined", "it is in the lesson");
        again.break_off();
    }
    assert_eq!(bob.hear_event().await.0, "left app.ann.school.example");
    eventually("one is gone", || world.key("lesson_teacher_math").is_empty()).await;
    assert!(is_empty(&a));
    let reports = world.reports.all();
    assert_eq!(reports.iter().filter(|it| it.starts_with("disconnect")).count(), 1, "{reports:?}");
}

#[tokio::test]
async fn where_something_may_be_missing_it_is_a_new_connection_and_nobody_left() {
    let (world, _a, b, ann, mut bob) = a_lesson().await;
    let (sid, pid) = (ann.sid.clone(), ann.pid.clone());
    ann.break_off();
    // More than the bus remembers.
    for _ in 0..100 {
        world.say_in("math");
        assert_eq!(bob.hear_event().await.0, "added ");
    }
    let mut again = App::come_back(&b, ("teacher", "ann"), &pid, None).await;
    assert!(again.sid != sid && again.pid != pid);
    again.join("ann", "teacher").await;
    assert_eq!(bob.unheard(), 0);
}

#[tokio::test]
async fn nobody_takes_up_what_is_not_theirs_or_does_not_exist() {
    let (world, _a, b, ann, _bob) = a_lesson().await;
    let pid = ann.pid.clone();
    for (kind, user, pid, offset) in [
        ("teacher", "eve", pid.as_str(), None),
        ("student", "ann", pid.as_str(), None),
        ("teacher_hub", "ann", pid.as_str(), None),
        ("teacher", "ann", "unknown", None),
        ("teacher", "ann", "a pid", None),
        ("teacher", "ann", pid.as_str(), Some("x")),
        ("teacher", "ann", pid.as_str(), Some("99999999999999999")),
    ] {
        let again = App::come_back(&b, (kind, user), pid, offset).await;
        assert!(again.sid != ann.sid && again.pid != pid, "{kind} {user} {pid} {offset:?}");
    }
    let mut denied = App::open(&b, "teacher", "o", Some("ann|o|teacher|art"));
    denied.say(&format!(r#"0{{"pid":"{pid}"}}"#));
    let answer = denied.hear().await;
    assert!(answer.starts_with("40{") && !answer.contains(&pid), "{answer}");
    assert!(world.state.recovery(&pid.parse().unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn who_said_good_bye_is_not_taken_up_again() {
    let (world, a, b, ann, mut bob) = a_lesson().await;
    let (sid, pid) = (ann.sid.clone(), ann.pid.clone());
    ann.say("1");
    assert_eq!(bob.hear_event().await.0, "left app.ann.school.example");
    eventually("it is gone", || is_empty(&a)).await;
    assert_eq!(world.state.recovery(&pid.parse().unwrap()).await.unwrap(), None);
    assert_ne!(App::come_back(&b, ("teacher", "ann"), &pid, None).await.sid, sid);
}

#[tokio::test]
async fn a_connection_is_taken_up_after_its_replica_let_it_go() {
    let (_world, a, b, mut ann, bob) = a_lesson().await;
    let (sid, pid) = (ann.sid.clone(), ann.pid.clone());
    shed(&a);
    assert!(ann.hear().await.starts_with(r#"42["terminated""#));
    assert_eq!(ann.hear().await, "close terminated");
    let again = App::come_back(&b, ("teacher", "ann"), &pid, None).await;
    assert_eq!(again.sid, sid);
    eventually("the end of the first", || is_empty(&a)).await;
    assert_eq!(bob.unheard(), 0);
}

#[tokio::test]
async fn while_the_lesson_state_is_away_a_client_is_sent_to_try_again_and_is_recovered_then() {
    let (world, _a, b, ann, bob) = a_lesson().await;
    let (sid, pid) = (ann.sid.clone(), ann.pid.clone());
    world.state.set_away(true);
    let mut early = App::open(&b, "teacher", "o", Some("ann|o|teacher|math"));
    early.say(&format!(r#"0{{"pid":"{pid}"}}"#));
    assert_eq!(early.hear().await, "close overloaded");
    world.state.set_away(false);
    let again = App::come_back(&b, ("teacher", "ann"), &pid, None).await;
    assert_eq!((again.sid, bob.unheard()), (sid, 0));
}

#[tokio::test]
async fn where_the_lesson_state_fails_after_the_claim_it_is_recovered_and_written_later() {
    let (world, a, b, ann, mut bob) = a_lesson().await;
    let (sid, pid) = (ann.sid.clone(), ann.pid.clone());
    ann.break_off();
    world.say_in("math");
    bob.hear_event().await;
    world.state.set_away_from_joins(true);
    let mut again = App::come_back(&b, ("teacher", "ann"), &pid, None).await;
    assert_eq!((&again.sid, &again.pid), (&sid, &pid));
    assert_eq!(again.hear_event().await.0, "added ");
    eventually("the end of the first", || is_empty(&a)).await;
    world.state.set_away_from_joins(false);
    let entry = [format!("ann={sid}")];
    eventually("what could not be written", || world.key("lesson_teacher_math") == entry).await;
    // By the recovery of before: what it heard since is its client's to say.
    again.break_off();
    let again = App::come_back(&a, ("teacher", "ann"), &pid, None).await;
    assert_eq!((&again.sid, &again.pid, bob.unheard()), (&sid, &pid, 0));
}
