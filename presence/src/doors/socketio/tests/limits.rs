//! What a client may send, and what is kept for one that does not come for it.

use super::*;

#[tokio::test]
async fn a_body_has_a_limit_that_grows_once_the_client_is_let_in() {
    let place = Place::open(&[]);
    let large = format!("4{}", "x".repeat(100_000));
    let own = place.enter_polling().await;
    assert_eq!(place.post(&own, &large).await.ok(), "ok");
    assert_eq!(place.get(&own).await.ok(), large);
    let own = place.open_polling("").await;
    place.post(&own, &large).await.refused(413, 3);
    place.get(&own).await.refused(400, 1);
}

#[tokio::test]
async fn a_body_that_is_malformed_ends_the_connection() {
    let many = ["4a"; 65].join("\x1e");
    for body in ["", "abc", "4a\x1e", "2", many.as_str()] {
        let place = Place::open(&[]);
        let own = place.enter_polling().await;
        place.post(&own, body).await.refused(400, 3);
        place.get(&own).await.refused(400, 1);
        place.nobody_polls().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_come_for_what_it_is_sent_is_closed_and_told_why() {
    let place = Place::open(&[]);
    let own = place.enter_polling().await;
    // The queue has 256 KiB.
    assert_eq!(place.post(&own, "4flood 200").await.ok(), "ok");
    assert_eq!(place.post(&own, "4flood 200").await.ok(), "ok");
    eventually(|| place.metric("presence_closes_total{reason=\"slow_consumer\"} 1")).await;
    assert_eq!(place.get(&own).await.ok(), "4too slow");
    assert_eq!(place.get(&own).await.ok(), "1");
    place.get(&own).await.refused(400, 1);
}

#[tokio::test]
async fn one_answer_holds_what_waits() {
    let place = Place::open(&[]);
    let own = place.enter_polling().await;
    assert_eq!(place.post(&own, "4flood 200").await.ok(), "ok");
    let answer = place.get(&own).await.ok();
    assert_eq!(answer.split('\x1e').count(), 200);
}

#[tokio::test]
async fn only_so_many_poll() {
    let place = Place::open(&[("PRESENCE_SOCKETIO__MAX_POLLING", "1")]);
    let own = place.enter_polling().await;
    assert_eq!(place.get("EIO=4&transport=polling").await.status, 503);
    assert!(place.metric("presence_refused_total{cause=\"polling_cap\"} 1"));
    place.websocket("EIO=4&transport=websocket").await.unwrap();
    assert_eq!(place.post(&own, "1").await.ok(), "ok");
    place.nobody_polls().await;
    place.enter_polling().await;
}

#[tokio::test]
async fn a_client_that_shows_no_token_is_closed_and_counts_at_the_gate_until_then() {
    let settings = [
        ("PRESENCE_SOCKETIO__CONNECT_TIMEOUT", "1s"),
        ("PRESENCE_NATIVE__MAX_UNAUTHENTICATED", "1"),
        ("PRESENCE_NATIVE__MAX_UNAUTHENTICATED_PER_ADDRESS", "1"),
    ];
    let place = Place::open(&settings);
    let own = place.open_polling("").await;
    assert_eq!(place.websocket("EIO=4&transport=websocket").await.err(), Some(503));
    assert_eq!(place.get(&own).await.ok(), "1");
    eventually(|| place.engine.deps.metrics.unauthenticated.get() == 0).await;
    place.websocket("EIO=4&transport=websocket").await.unwrap();
    assert!(place.metric("presence_closes_total{reason=\"auth_timed_out\"} 1"));
}
