//! From polling to a WebSocket.

use super::*;

fn of_websocket(own: &str) -> String {
    own.replace("transport=polling", "transport=websocket")
}

#[tokio::test]
async fn a_client_changes_over_and_misses_nothing() {
    let place = Place::open(&[]);
    let own = place.enter_polling().await;
    let waiting = place.ask("GET", &own, ("", b"")).await;
    eventually(|| place.door.registry.any_waits()).await;
    let mut channel = place.websocket(&of_websocket(&own)).await.unwrap();
    channel.say("2probe").await;
    assert_eq!(channel.hear_text().await, "3probe");
    assert_eq!(waiting.answer().await.ok(), "6", "the poll that waits is let go");
    assert_eq!(place.get(&own).await.ok(), "6", "and so is the next one");
    // What is said meanwhile is answered on the WebSocket.
    assert_eq!(place.post(&own, "4meanwhile").await.ok(), "ok");
    channel.say("5").await;
    channel.say("4after").await;
    assert_eq!(channel.hear_text().await, "4meanwhile");
    assert_eq!(channel.hear_text().await, "4after");
    place.nobody_polls().await;
    place.get(&own).await.refused(400, 1);
    assert_eq!(place.websocket(&of_websocket(&own)).await.err(), Some(400));
    let large = format!("4{}", "x".repeat(100_000));
    channel.say(large.as_str()).await;
    assert_eq!(channel.hear_text().await, large, "the client is still one that was let in");
    assert!(place.metric("presence_socketio_upgrades_total{result=\"done\"} 1"));
}

#[tokio::test]
async fn a_client_may_change_over_before_it_is_let_in() {
    let place = Place::open(&[]);
    let own = place.open_polling("").await;
    let mut channel = place.websocket(&of_websocket(&own)).await.unwrap();
    channel.say("2probe").await;
    assert_eq!(channel.hear_text().await, "3probe");
    channel.say("5").await;
    channel.say("40").await;
    assert_eq!(channel.hear_text().await, "4hello none");
    place.nobody_polls().await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_finished_leaves_the_client_polling() {
    let place = Place::open(&[("PRESENCE_SOCKETIO__UPGRADE_TIMEOUT", "1s")]);
    let own = place.enter_polling().await;
    for probe in [Some("2probe"), None, Some("2nothing")] {
        let mut channel = place.websocket(&of_websocket(&own)).await.unwrap();
        // One at a time.
        assert_eq!(place.websocket(&of_websocket(&own)).await.err(), Some(400));
        if let Some(probe) = probe {
            channel.say(probe).await;
        }
        assert_eq!(channel.close_code().await, None);
        assert_eq!(place.post(&own, "4still here").await.ok(), "ok");
        assert_eq!(place.get(&own).await.ok(), "4still here");
    }
    assert!(place.metric("presence_socketio_upgrades_total{result=\"given_up\"} 3"));
}

#[tokio::test]
async fn a_websocket_that_is_tried_ends_with_its_connection() {
    let place = Place::open(&[]);
    let own = place.enter_polling().await;
    let mut channel = place.websocket(&of_websocket(&own)).await.unwrap();
    assert_eq!(place.post(&own, "1").await.ok(), "ok");
    assert_eq!(channel.close_code().await, None);
    assert_eq!(place.websocket(&of_websocket(&own)).await.err(), Some(400));
}
