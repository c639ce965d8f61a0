//! What becomes of reports when Mixpanel is away, busy, slow, or will not have them; and at the end of the process.

use crate::{
    analytics_double::{Double, How},
    analytics_kit::{Stage, expected, options, users},
    bus_kit::{eventually, free_port},
};
use presence::adapters::analytics_mixpanel::{Dropped, MixpanelOptions};
use std::time::Duration;

#[tokio::test]
async fn what_cannot_be_had_now_is_tried_again_until_it_can() {
    let busy = How::Say(429, r#"{"code":429,"error":"rate limits"}"#, Some(("retry-after", "0")));
    let dated = How::Say(503, "", Some(("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")));
    let later = [busy, How::say(500), How::say(502), dated, How::say(504), How::say(408), How::Break];
    let double = Double::start(later.into_iter().chain([How::Take])).await;
    let stage = Stage::run(&options(double.url()));
    stage.report(0..3);
    stage.settled().await;
    assert_eq!(users(&double), expected(0..3));
    assert_eq!(double.events().len(), 3, "what was taken twice counts once");
    assert_eq!((stage.counts.sent.get(), stage.all_dropped()), (3, 0));
    assert!(double.asked().len() >= 8);
}

#[tokio::test]
async fn what_is_refused_is_dropped_and_what_follows_is_sent() {
    let no = How::Say(200, r#"{"status":0,"error":"data, missing or empty"}"#, None);
    let elsewhere = How::Say(302, "", Some(("location", "http://127.0.0.1:1/")));
    let refusals = [How::say(400), How::say(401), How::say(403), How::say(404), elsewhere, no];
    let count = refusals.len();
    let double = Double::start(refusals.into_iter().chain([How::Take])).await;
    let stage = Stage::run(&options(double.url()));
    for number in 0..count {
        stage.report([number]);
        stage.settled().await;
    }
    assert_eq!(stage.counts.dropped(Dropped::Refused), count as u64);
    stage.report([99]);
    stage.settled().await;
    assert_eq!(users(&double), expected([99]));
    assert_eq!((stage.counts.sent.get(), stage.all_dropped()), (1, count as u64));
}

#[tokio::test]
async fn what_is_too_large_is_split_and_nothing_of_it_is_lost() {
    let double = Double::start([How::AtMost(70)]).await;
    let mut stage = Stage::idle(&options(double.url()));
    stage.report(0..1000);
    stage.begin();
    stage.settled().await;
    assert_eq!(users(&double), expected(0..1000));
    assert_eq!((stage.counts.sent.get(), stage.all_dropped()), (1000, 0));
    // Once it is known what is too much, it is not asked again within the batch.
    assert_eq!(double.asked().iter().filter(|events| **events > 70).count(), 4, "{:?}", double.asked());
}

#[tokio::test]
async fn what_is_too_large_alone_is_dropped() {
    let double = Double::start([How::AtMost(0)]).await;
    let stage = Stage::run(&options(double.url()));
    stage.report(0..5);
    stage.dropped(Dropped::TooLarge, 5).await;
    assert_eq!((stage.counts.sent.get(), stage.all_dropped(), stage.counts.queue.get()), (0, 5, 0));
}

#[tokio::test]
async fn patience_has_an_end() {
    let double = Double::start([How::say(503), How::Take]).await;
    let stage = Stage::run(&MixpanelOptions { patience: Duration::ZERO, ..options(double.url()) });
    stage.report([1]);
    stage.dropped(Dropped::Unavailable, 1).await;
    stage.report([2]);
    stage.settled().await;
    assert_eq!(users(&double), expected([2]));
}

#[tokio::test]
async fn who_is_told_to_wait_for_long_drops_one_batch_and_keeps_the_rest() {
    let double = Double::start([How::Say(429, "", Some(("retry-after", "3000"))), How::Take]).await;
    let mut stage = Stage::run(&options(double.url()));
    stage.report([1]);
    stage.dropped(Dropped::Unavailable, 1).await;
    stage.report([2, 3]);
    assert_eq!(double.asked(), [1]);
    stage.stop().await;
    assert_eq!(stage.counts.queue.get(), 2);
    stage.mixpanel.flush().await;
    assert_eq!(users(&double), expected([2, 3]));
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let double = Double::start([How::Hang, How::Take]).await;
    let stage = Stage::run(&MixpanelOptions { timeout: Duration::from_millis(100), ..options(double.url()) });
    stage.report([1]);
    stage.settled().await;
    assert_eq!(users(&double), expected([1]));
    assert_eq!(stage.counts.sent.get(), 1);
}

#[tokio::test]
async fn who_is_not_there_is_told_once_he_is() {
    let address = ([127, 0, 0, 1], free_port()).into();
    let stage = Stage::run(&options(format!("http://{address}/proxy/")));
    stage.report(0..10);
    // The first tries are in vain; whether one was made by now does not matter.
    let double = Double::start_at(address, "/proxy/track", []).await;
    stage.settled().await;
    assert_eq!(users(&double), expected(0..10));
}

#[tokio::test]
async fn what_is_left_at_the_end_is_sent_once() {
    let double = Double::start([How::Hang, How::Take]).await;
    let mut stage = Stage::run(&options(double.url()));
    stage.report([1]);
    eventually("it is being sent", async || double.asked().len() == 1).await;
    stage.report(2..2500);
    stage.stop().await;
    assert_eq!(stage.counts.sent.get(), 0, "what is being sent is not lost with the future");
    stage.mixpanel.flush().await;
    assert_eq!(users(&double), expected(1..2500));
    assert_eq!((stage.counts.sent.get(), stage.all_dropped(), stage.counts.queue.get()), (2499, 0, 0));
}

#[tokio::test]
async fn the_end_does_not_wait_for_who_is_away() {
    for (how, why) in [(How::say(503), Dropped::Unavailable), (How::Hang, Dropped::Stopped)] {
        let double = Double::start([how]).await;
        let mut stage = Stage::idle(&options(double.url()));
        stage.report(0..3000);
        stage.stop().await;
        stage.mixpanel.flush().await;
        assert_eq!(double.asked(), [2000], "tried once");
        assert_eq!((stage.counts.dropped(why), stage.counts.queue.get()), (3000, 0));
    }
}
