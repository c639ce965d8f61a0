//! A WebSocket from the first request on.

use super::*;
use tokio_tungstenite::tungstenite::Message;

const QUERY: &str = "EIO=4&transport=websocket&role=student";

impl Place {
    async fn enter_websocket(&self) -> client::Channel {
        let mut channel = self.websocket(QUERY).await.unwrap();
        let open = channel.hear_text().await;
        let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(open["upgrades"], serde_json::json!([]));
        assert_eq!((&open["pingInterval"], &open["maxPayload"]), (&25_000.into(), &1_200_000.into()));
        channel.say("40").await;
        assert_eq!(channel.hear_text().await, "4hello student");
        channel
    }
}

#[tokio::test]
async fn it_costs_nothing_among_those_that_poll() {
    let place = Place::open(&[]);
    let mut channel = place.enter_websocket().await;
    channel.say("4a").await;
    assert_eq!(channel.hear_text().await, "4a");
    channel.say(Message::Binary(vec![1, 2].into())).await;
    assert_eq!(channel.hear_text().await, "42 bytes");
    // As clients without binary frames do.
    channel.say("bAQID").await;
    assert_eq!(channel.hear_text().await, "43 bytes");
    assert_eq!(place.engine.deps.metrics.polling.get(), 0);
    channel.say("1").await;
    assert_eq!(channel.close_code().await, Some(1000));
}

#[tokio::test]
async fn pings_are_packets() {
    let settings =
        [("PRESENCE_SOCKETIO__PING_INTERVAL", "1500ms"), ("PRESENCE_SOCKETIO__PING_TIMEOUT", "1400ms")];
    let place = Place::open(&settings);
    let mut channel = place.websocket(QUERY).await.unwrap();
    channel.hear_text().await;
    channel.say("40").await;
    channel.hear_text().await;
    for _ in 0..2 {
        assert_eq!(channel.hear_text().await, "2");
        channel.say("3").await;
    }
    assert_eq!(channel.hear_text().await, "2");
    // A pong of the WebSocket is none of Engine.IO.
    channel.say(Message::Pong(Bytes::new())).await;
    assert_eq!(channel.close_code().await, Some(4000));
}

#[tokio::test]
async fn a_client_that_says_what_none_may_is_closed() {
    for (frame, code) in [("", 1002), ("9", 1002), ("2", 1002), ("2probe", 1002), ("0{}", 1002), ("b*", 1002)]
    {
        let place = Place::open(&[]);
        let mut channel = place.enter_websocket().await;
        channel.say(frame).await;
        assert_eq!(channel.close_code().await, Some(code), "{frame}");
    }
}

#[tokio::test]
async fn what_a_client_may_send_grows_once_it_is_let_in() {
    let place = Place::open(&[]);
    let large = format!("4{}", "x".repeat(100_000));
    let mut channel = place.enter_websocket().await;
    channel.say(large.as_str()).await;
    assert_eq!(channel.hear_text().await, large);
    let mut channel = place.websocket(QUERY).await.unwrap();
    channel.hear_text().await;
    channel.say(large).await;
    assert_eq!(channel.close_code().await, Some(1009));
}
