//! The audit: it finds nothing where everything went through the store, and each lie by its invariant.

use super::stage::{A, B, C, HOUR, Stage, key, on_every_store};
use presence_core::session::Held;
use std::{collections::BTreeMap, time::Duration};

on_every_store![
    a_store_that_was_only_used_is_good,
    a_session_that_is_live_and_in_history_is_found,
    two_live_sessions_of_one_agent_in_one_classroom_are_found,
    events_out_of_turn_are_found,
    events_that_tell_of_nothing_are_found,
    sessions_that_nobody_was_told_of_are_found,
    ghosts_are_found_once_things_had_time_to_settle,
    stays_that_overlap_are_found,
    no_more_is_shown_than_was_asked_for,
];

/// Everything that a store does, one after the other, all of it published. `fay` stays with A, `ben` and `dan` with B.
async fn lively(stage: &Stage) -> Held {
    for _ in 0..2 {
        let held = stage.claim(&key("ann", "math"), A).await.held;
        assert!(stage.release(held).await);
    }
    stage.claim(&key("ben", "math"), A).await;
    stage.claim(&key("ben", "math"), C).await;
    stage.claim(&key("ben", "math"), B).await;
    stage.claim(&key("cid", "math"), A).await;
    let replaced = stage.claim(&key("cid", "math"), B).await.held;
    assert!(stage.release(replaced).await);
    let shed = stage.claim(&key("dan", "math"), A).await.held;
    stage.store.shed(&[shed]).await.unwrap();
    stage.claim(&key("dan", "math"), B).await;
    stage.claim(&key("eve", "math"), C).await;
    assert!(stage.store.renew(C, Duration::ZERO).await.unwrap());
    assert_eq!(stage.store.sweep(B, Duration::ZERO).await.unwrap(), 1);
    let stays = stage.claim(&key("fay", "math"), A).await.held;
    stage.publish_all().await;
    stays
}

async fn audit(stage: &Stage, settled: Duration) -> BTreeMap<&'static str, Vec<String>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for finding in stage.store.audit(settled, 100).await.unwrap() {
        found.entry(finding.invariant).or_default().push(finding.what);
    }
    found
}

/// What is found against this invariant and, it is made sure, against no other.
async fn against(stage: &Stage, invariant: &'static str) -> Vec<String> {
    let mut found = audit(stage, Duration::ZERO).await;
    let against = found.remove(invariant).unwrap_or_default();
    assert_eq!(found, BTreeMap::new(), "besides {invariant}: {against:?}");
    against
}

async fn a_store_that_was_only_used_is_good(stage: &Stage) {
    assert_eq!(audit(stage, Duration::ZERO).await, BTreeMap::new());
    lively(stage).await;
    for settled in [Duration::ZERO, HOUR, Duration::MAX] {
        assert_eq!(audit(stage, settled).await, BTreeMap::new());
    }
}

async fn a_session_that_is_live_and_in_history_is_found(stage: &Stage) {
    let live = lively(stage).await.session_id;
    stage
        .execute_either(
            "INSERT INTO agent_session_history SELECT id, 'web.zed.school.example', 'art', replica_id,
             tstzrange(now() - interval '3 days', now() - interval '2 days')
             FROM agent_session WHERE agent_id = 'web.fay.school.example'",
            "INSERT INTO agent_session_history SELECT id, 'web.zed.school.example', 'art', replica_id, 1, 2
             FROM agent_session WHERE agent_id = 'web.fay.school.example'",
        )
        .await;
    assert_eq!(against(stage, "I1").await, [format!("session {live} is live and in history")]);
}

/// Only PostgreSQL can be brought to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_in_history_twice_is_found() {
    Stage::postgres()
        .await
        .play(async |stage| {
            lively(stage).await;
            let twice = "ALTER TABLE agent_session_history DROP CONSTRAINT agent_session_history_pkey;
                INSERT INTO agent_session_history SELECT * FROM agent_session_history ORDER BY id LIMIT 1";
            stage.execute(twice).await;
            let found = against(stage, "I1").await;
            assert!(found.len() == 1 && found[0].ends_with("in history 2 times"), "{found:?}");
        })
        .await;
}

async fn two_live_sessions_of_one_agent_in_one_classroom_are_found(stage: &Stage) {
    let live = lively(stage).await.session_id;
    stage
        .execute_either(
            "ALTER TABLE agent_session DROP CONSTRAINT agent_session_classroom_id_agent_id_key;
             INSERT INTO agent_session (id, agent_id, classroom_id, replica_id, started_at)
             SELECT 1000, agent_id, classroom_id, replica_id, now() - interval '2 hours'
             FROM agent_session WHERE agent_id = 'web.fay.school.example'",
            "CREATE TABLE free AS SELECT * FROM agent_session;
             DROP TABLE agent_session;
             ALTER TABLE free RENAME TO agent_session;
             INSERT INTO agent_session (id, agent_id, classroom_id, replica_id, generation, started_at, claimed_at)
             SELECT 1000, agent_id, classroom_id, replica_id, 1, 1, claimed_at
             FROM agent_session WHERE agent_id = 'web.fay.school.example'",
        )
        .await;
    let expected = format!("sessions {live}, 1000 are live, of one agent in one classroom");
    assert_eq!(against(stage, "I2").await, [expected]);
}

async fn events_out_of_turn_are_found(stage: &Stage) {
    lively(stage).await;
    // Entered, entered, left, left.
    stage
        .execute(
            "UPDATE outbox SET position = position + 1000 WHERE operation = 'left' AND session_id =
             (SELECT min(session_id) FROM outbox WHERE agent_id = 'web.ann.school.example')",
        )
        .await;
    let found = against(stage, "I3").await;
    assert!(found.len() == 2 && found.iter().all(|what| what.contains("said the same")), "{found:?}");
    // What may have been trimmed in between proves nothing.
    assert_eq!(audit(stage, HOUR).await, BTreeMap::new());
}

async fn events_that_tell_of_nothing_are_found(stage: &Stage) {
    let live = lively(stage).await.session_id;
    let insert = |operation: &str, session: i64| {
        format!(
            "INSERT INTO outbox (operation, session_id, agent_id, classroom_id, replica_id, created_at, published_at)
             SELECT '{operation}', {session}, agent_id, 'art', replica_id, created_at, published_at
             FROM outbox WHERE session_id = {live}"
        )
    };
    stage.execute(&insert("left", 1001)).await;
    stage.execute(&insert("entered", 1002)).await;
    let found = against(stage, "I4").await;
    assert!(found.len() == 2 && found[0].contains("1001") && found[1].contains("1002"), "{found:?}");
    stage.execute("DELETE FROM outbox WHERE session_id > 1000").await;
    // Somebody comes back under an id that has ended.
    stage
        .execute(
            "INSERT INTO outbox (operation, session_id, agent_id, classroom_id, replica_id, created_at, published_at)
             SELECT operation, session_id, agent_id, classroom_id, replica_id, created_at, published_at
             FROM outbox WHERE agent_id = 'web.ann.school.example' ORDER BY position LIMIT 2",
        )
        .await;
    let found = against(stage, "I4").await;
    assert!(found.len() == 2 && found.iter().all(|what| what.ends_with("2 times")), "{found:?}");
}

async fn sessions_that_nobody_was_told_of_are_found(stage: &Stage) {
    let live = lively(stage).await.session_id;
    let untold = async |which: &str, says: &str| {
        stage.execute("CREATE TABLE kept AS SELECT * FROM outbox").await;
        stage.execute(&format!("DELETE FROM outbox WHERE {which}")).await;
        let found = against(stage, "I4").await;
        assert!(found.len() == 1 && found[0].contains(says), "{which}: {found:?}");
        // Of what has long ended, the events may have been trimmed.
        assert_eq!(audit(stage, HOUR).await, BTreeMap::new());
        stage.execute("DELETE FROM outbox; INSERT INTO outbox SELECT * FROM kept; DROP TABLE kept").await;
    };
    untold(&format!("session_id = {live}"), &format!("session {live} is live")).await;
    let last = "agent_id = 'web.cid.school.example' AND operation = 'left'";
    untold(last, "nobody took its place, and no event says that it left").await;
    let swept = "agent_id = 'web.eve.school.example' AND operation = 'left'";
    untold(swept, "no event says that it left").await;
    let first = "position = (SELECT min(position) FROM outbox WHERE agent_id = 'web.ann.school.example')";
    untold(first, "is in history, took nobody's place").await;
}

async fn ghosts_are_found_once_things_had_time_to_settle(stage: &Stage) {
    let live = lively(stage).await;
    let ghost = async |says: &str| {
        let found = against(stage, "I5").await;
        let session = format!("session {}", live.session_id);
        assert!(found.len() == 1 && found[0].contains(&session) && found[0].contains(says), "{found:?}");
        assert_eq!(audit(stage, HOUR).await, BTreeMap::new());
    };
    stage.store.shed(&[live]).await.unwrap();
    ghost("told to go").await;
    // A claim clears the mark.
    let live_again = stage.claim(&key("fay", "math"), A).await.held;
    assert_eq!(live_again.session_id, live.session_id);
    stage.store.set_draining(A, true).await.unwrap();
    ghost("drain").await;
    assert!(stage.store.renew(A, Duration::ZERO).await.unwrap());
    ghost("lost its lease").await;
    stage.execute(&format!("DELETE FROM replica WHERE id = '{A}'")).await;
    ghost("is unknown").await;
    assert_eq!(stage.claim(&key("fay", "math"), B).await.held.session_id, live.session_id);
    assert_eq!(audit(stage, Duration::ZERO).await, BTreeMap::new());
    stage.claim(&key("gil", "math"), B).await;
    let found = against(stage, "I5").await;
    assert!(found.len() == 1 && found[0].contains("waits"), "{found:?}");
}

async fn stays_that_overlap_are_found(stage: &Stage) {
    lively(stage).await;
    stage
        .execute_either(
            "INSERT INTO agent_session_history
             SELECT id, 'web.zed.school.example', 'art', '00000000-0000-0000-0000-00000000000a',
                    tstzrange(now() - ago, now() - ago + interval '1 hour')
             FROM (VALUES (1001, interval '5 hours'), (1002, interval '270 minutes'), (1003, interval '3 hours'),
                          (1004, interval '3 hours')) AS v (id, ago)",
            "INSERT INTO agent_session_history VALUES
             (1001, 'web.zed.school.example', 'art', 'a', 100, 200), (1002, 'web.zed.school.example', 'art', 'a', 150, 250),
             (1003, 'web.zed.school.example', 'art', 'a', 250, 350), (1004, 'web.zed.school.example', 'art', 'a', 250, 350)",
        )
        .await;
    let mut found = against(stage, "I7").await;
    found.sort();
    let before = |later: i64, h: i64| format!("session {later} began before session {h} ended");
    assert_eq!(found, [before(1002, 1001), before(1003, 1004), before(1004, 1003)]);
    stage.execute("DELETE FROM agent_session_history WHERE id > 1000").await;
    // The live one began before the last one ended.
    stage
        .execute_either(
            "INSERT INTO agent_session_history SELECT 1001, agent_id, classroom_id, replica_id,
             tstzrange(now() - interval '3 hours', now() - interval '2 hours')
             FROM agent_session WHERE agent_id = 'web.fay.school.example';
             UPDATE agent_session SET started_at = now() - interval '4 hours' WHERE agent_id = 'web.fay.school.example'",
            "INSERT INTO agent_session_history SELECT 1001, agent_id, classroom_id, replica_id, 10000000, 20000000
             FROM agent_session WHERE agent_id = 'web.fay.school.example';
             UPDATE agent_session SET started_at = 1 WHERE agent_id = 'web.fay.school.example'",
        )
        .await;
    let found = against(stage, "I7").await;
    assert!(found.len() == 1 && found[0].ends_with("began before session 1001 ended"), "{found:?}");
}

async fn no_more_is_shown_than_was_asked_for(stage: &Stage) {
    for n in 0..10 {
        stage.claim(&key(&format!("agent-{n}"), "math"), A).await;
    }
    stage.store.set_draining(A, true).await.unwrap();
    // Ten events that wait, and ten sessions of one who drains: all of them ghosts.
    for limit in [0, 1, 7, 20] {
        let found = stage.store.audit(Duration::ZERO, limit).await.unwrap();
        assert_eq!(found.len(), limit as usize);
    }
}
