//! Polling alone.

use super::*;
use presence_core::ids::ReplicaId;

#[tokio::test]
async fn a_client_may_poll_all_its_life() {
    let place = Place::open(&[]);
    let own = place.open_polling("&role=teacher").await;
    let (posted, polled) = tokio::join!(place.post(&own, "40"), place.get(&own));
    assert_eq!((posted.ok().as_str(), polled.body.as_str()), ("ok", "4hello teacher"));
    assert!(polled.has("content-type: text/plain; charset=UTF-8") && polled.has("cache-control: no-store"));
    // Several packets in one request, and their answers in one.
    let body = "4one\x1e4t\u{f6}o\x1ebAQID";
    assert_eq!(place.post(&own, body).await.ok(), "ok");
    assert_eq!(place.get(&own).await.ok(), "4one\x1e4t\u{f6}o\x1e43 bytes");
    assert_eq!(place.engine.deps.metrics.polling.get(), 1);
    // The client closes: a GET that waits is let go.
    let waiting = place.ask("GET", &own, ("", b"")).await;
    assert_eq!(place.post(&own, "1").await.ok(), "ok");
    let last = waiting.answer().await;
    assert!(last.status == 400 || last.body == "6", "{last:?}");
    place.nobody_polls().await;
    place.get(&own).await.refused(400, 1);
}

#[tokio::test]
async fn a_poll_returns_with_the_ping_and_a_client_without_pongs_is_closed() {
    let settings =
        [("PRESENCE_SOCKETIO__PING_INTERVAL", "1500ms"), ("PRESENCE_SOCKETIO__PING_TIMEOUT", "1400ms")];
    let place = Place::open(&settings);
    let own = place.enter_polling().await;
    assert_eq!(place.get(&own).await.ok(), "2");
    assert_eq!(place.post(&own, "3").await.ok(), "ok");
    assert_eq!(place.get(&own).await.ok(), "2", "the pong was heard");
    assert_eq!(place.get(&own).await.ok(), "1", "no pong, and the end");
    place.get(&own).await.refused(400, 1);
    assert!(place.metric("presence_closes_total{reason=\"pong_timed_out\"} 1"));
}

#[tokio::test]
async fn a_second_poll_ends_the_connection() {
    let place = Place::open(&[]);
    let own = place.enter_polling().await;
    let first = place.ask("GET", &own, ("", b"")).await;
    // Both may be on their way: whichever comes second is the one too many.
    let second = place.ask("GET", &own, ("", b"")).await;
    let mut answers = [first.answer().await, second.answer().await];
    answers.sort_by_key(|answer| answer.status);
    assert_eq!((answers[0].status, answers[0].body.as_str()), (200, "1"));
    answers[1].refused(400, 3);
    place.get(&own).await.refused(400, 1);
    place.nobody_polls().await;
}

#[tokio::test]
async fn a_second_post_ends_the_connection() {
    let place = Place::open(&[]);
    let own = place.enter_polling().await;
    let _first = place.half_a_post(&own).await;
    place.post(&own, "4a").await.refused(400, 3);
    place.get(&own).await.refused(400, 1);
    place.nobody_polls().await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_polls_is_gone_at_once() {
    let place = Place::open(&[("PRESENCE_SESSION__LEAVE_GRACE", "0s")]);
    let own = place.enter_polling().await;
    let waiting = place.ask("GET", &own, ("", b"")).await;
    // It is there, or else it has nothing to break off.
    eventually(|| place.door.registry.any_waits()).await;
    drop(waiting);
    place.nobody_polls().await;
    place.get(&own).await.refused(400, 1);
}

#[tokio::test]
async fn a_request_must_be_of_who_opened_the_connection() {
    let place = Place::open(&[]);
    let own = place.open_polling("&auth=mine&role=teacher").await;
    let other = own.replace("auth=mine", "auth=other");
    place.get(&other).await.refused(403, 4);
    place.post(&other, "40").await.refused(403, 4);
    assert_eq!(place.websocket(&other.replace("polling", "websocket")).await.err(), Some(403));
    place.ask("GET", &own, ("authorization: Bearer x\r\n", b"")).await.answer().await.refused(403, 4);
    assert_eq!(place.post(&own, "40").await.ok(), "ok");
    assert_eq!(place.get(&own).await.ok(), "4hello teacher");
}

#[tokio::test]
async fn what_is_no_request_of_engine_io_is_refused_as_it_says() {
    let place = Place::open(&[]);
    let good = "EIO=4&transport=polling";
    place.get("").await.refused(400, 0);
    place.get("EIO=4&transport=tcp").await.refused(400, 0);
    place.get("EIO=3&transport=polling").await.refused(400, 5);
    place.get(&format!("{good}&sid=abc")).await.refused(400, 1);
    let elsewhere = EngineId::new(ReplicaId(9));
    place.get(&format!("{good}&sid={}", elsewhere.as_str())).await.refused(400, 1);
    place.post(good, "40").await.refused(400, 2);
    place.ask("PUT", good, ("", b"")).await.answer().await.refused(400, 2);
    place.get("EIO=4&transport=websocket").await.refused(400, 3);
    place.get(&format!("{good}&j=0")).await.refused(400, 3);
    let own = place.enter_polling().await;
    place.ask("DELETE", &own, ("", b"")).await.answer().await.refused(400, 3);
    assert!(place.metric("presence_socketio_requests_refused_total{cause=\"unknown_sid\"} 2"));
}

#[tokio::test]
async fn a_page_may_poll_from_an_origin_that_may_connect() {
    let place = Place::open(&[("PRESENCE_PUBLIC__ORIGINS", "https://app.example")]);
    let query = "EIO=4&transport=polling";
    let from = |origin: &str| format!("origin: {origin}\r\n");
    let preflight = "access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n";
    let good = from("https://app.example");
    let asked = place.ask("OPTIONS", query, (&format!("{good}{preflight}"), b"")).await.answer().await;
    assert_eq!(asked.status, 200, "{asked:?}");
    for answer in [asked, place.ask("GET", query, (&good, b"")).await.answer().await] {
        assert!(answer.has("access-control-allow-origin: https://app.example"), "{answer:?}");
        assert!(answer.has("access-control-allow-credentials: true"), "{answer:?}");
    }
    let answer = place.ask("GET", query, (&from("https://evil.example"), b"")).await.answer().await;
    assert_eq!(answer.status, 403);
    assert!(!answer.head.to_lowercase().contains("access-control-allow-origin"), "{answer:?}");
}

#[tokio::test]
async fn when_the_process_stops_polls_end() {
    let place = Place::open(&[]);
    let own = place.enter_polling().await;
    let mut waiting = place.ask("GET", &own, ("", b"")).await;
    eventually(|| place.door.registry.any_waits()).await;
    place.engine.tasks.stop().await;
    assert!(waiting.is_cut_off().await);
}
