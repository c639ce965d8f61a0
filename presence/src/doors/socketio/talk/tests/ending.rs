//! How sockets end, and who hears of it.

use super::{World, client::App, eventually};
use crate::{engine::Engine, hub::Command};
use serde_json::json;
use std::sync::Arc;

const GONE: &str = r#"42["teacher_disconnect",{"user_id":"ann"}]"#;

pub(super) fn shed(engine: &Arc<Engine>) {
    for who in engine.ledger.with_sockets() {
        if let Some(mailbox) = engine.ledger.mailbox_of(who) {
            mailbox.command(Command::Shed { reconnect_after_ms: 0 });
        }
    }
}

#[tokio::test]
async fn a_teacher_who_says_good_bye_is_gone_at_once_and_every_hub_hears_it_once() {
    let world = World::begin().await;
    let (a, b) = (world.replica("a").await, world.replica("b").await);
    let mut hubs = [App::enter(&a, "teacher_hub", "h1").await, App::enter(&b, "teacher_hub", "h2").await];
    let mut bob = App::enter(&b, "student", "bob").await;
    bob.join("bob", "student").await;
    let mut ann = App::enter(&a, "teacher", "ann").await;
    ann.join("ann", "teacher").await;
    assert_eq!(bob.hear_event().await.0, "entered app.ann.school.example");
    ann.say("1");
    for hub in &mut hubs {
        assert_eq!(hub.hear().await, GONE);
    }
    assert_eq!(bob.hear_event().await.0, "left app.ann.school.example");
    assert_eq!(world.key("alive:org_o_user_ann").last().unwrap(), "state=disconnect");
    assert_eq!(world.key("lesson_teacher_math"), [""; 0]);
    eventually("the report", || world.reports.all() == ["disconnect ann math r1"]).await;
    assert!(hubs.iter_mut().all(|hub| hub.unheard() == 0));
}

#[tokio::test]
async fn a_connection_that_broke_is_held_and_one_that_came_back_never_went() {
    let world = World::begin().await;
    let (a, b) = (world.replica("a").await, world.replica("b").await);
    let mut hub = App::enter(&a, "teacher_hub", "h").await;
    App::enter(&a, "teacher", "ann").await.break_off();
    let ann = App::enter(&b, "teacher", "ann").await;
    eventually("the end of the first", || a.apps.as_ref().unwrap().present.len() == 1).await;
    assert_eq!((hub.unheard(), world.key("alive:org_o_user_ann")[1].as_str()), (0, "state=connect"));
    ann.break_off();
    assert_eq!(hub.hear().await, GONE);
    eventually("the report", || world.reports.all() == ["disconnect ann - -"]).await;
}

#[tokio::test]
async fn students_and_managers_are_reported_and_hubs_are_not() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    for (kind, user) in [("teacher_hub", "h"), ("manager", "mel"), ("student", "bob")] {
        App::enter(&engine, kind, user).await.say("1");
    }
    let here = &engine.apps.as_ref().unwrap().present;
    eventually("all are gone", || here.is_empty()).await;
    let mut reports = world.reports.all();
    reports.sort();
    assert_eq!(reports, ["disconnect bob - -", "disconnect mel - -"]);
}

#[tokio::test]
async fn whoever_joins_elsewhere_replaces_the_former_socket_which_is_not_to_come_back() {
    let world = World::begin().await;
    let (a, b) = (world.replica("a").await, world.replica("b").await);
    let hub = App::enter(&a, "teacher_hub", "h").await;
    let mut first = App::enter(&a, "teacher", "ann").await;
    first.join("ann", "teacher").await;
    let mut second = App::enter(&b, "teacher", "ann").await;
    assert_eq!(second.join("ann", "teacher").await["agents_total"], 1);
    let told = r#"42["session_error",{"type":"replaced","title":"Replaced","status":422}]"#;
    assert_eq!((first.hear().await.as_str(), first.hear().await.as_str()), (told, "41"));
    assert_eq!(first.hear().await, "close replaced");
    eventually("the end of the first", || a.apps.as_ref().unwrap().present.len() == 1).await;
    assert_eq!(world.key("lesson_teacher_math"), [format!("ann={}", second.sid)]);
    assert_eq!((hub.unheard(), second.unheard()), (0, 0));
}

#[tokio::test]
async fn a_replica_that_lets_go_says_so_closes_and_is_not_seen_to() {
    let world = World::begin().await;
    let (a, b) = (world.replica("a").await, world.replica("b").await);
    let mut bob = App::enter(&b, "student", "bob").await;
    bob.join("bob", "student").await;
    let mut ann = App::enter(&a, "teacher", "ann").await;
    let before = ann.join("ann", "teacher").await;
    bob.hear_event().await;
    shed(&a);
    assert_eq!(ann.hear().await, r#"42["terminated",{"reconnect_after_ms":0,"reason":"rebalance"}]"#);
    assert_eq!(ann.hear().await, "close terminated");
    ann.break_off();
    a.deps.store.shed(&a.ledger.entries().into_keys().collect::<Vec<_>>()).await.unwrap();
    let mut again = App::enter(&b, "teacher", "ann").await;
    let after = again.join("ann", "teacher").await;
    assert_eq!((&after["session_id"], &after["agents_total"]), (&before["session_id"], &json!(2)));
    eventually("the end of the first", || a.apps.as_ref().unwrap().present.is_empty()).await;
    assert_eq!((bob.unheard(), world.reports.all()), (0, vec!["reconnect ann math -".to_owned()]));
}

#[tokio::test]
async fn an_end_that_the_lesson_state_does_not_hear_of_is_told_later() {
    let world = World::begin().await;
    let engine = world.replica("a").await;
    let ann = App::enter(&engine, "teacher", "ann").await;
    world.state.set_away(true);
    ann.say("1");
    let here = &engine.apps.as_ref().unwrap().present;
    eventually("its end waits", || here.all().is_empty() && here.unfinished().len() == 1).await;
    world.state.set_away(false);
    assert_eq!(world.key("alive:org_o_user_ann")[1], "state=connect");
    assert_eq!(world.reports.all(), [""; 0]);
}
