//! The contract of the `Analytics` port: none, and Mixpanel, against a double that checks every request.

use crate::{
    analytics_double::{Double, How, TOKEN},
    bus_kit::{clock, eventually, free_port},
};
use presence::{
    adapters::{
        analytics_mixpanel::{Counts, Dropped, Mixpanel, MixpanelOptions},
        analytics_none::NoAnalytics,
    },
    ports::analytics::{Analytics, Report, What},
};
use presence_core::time::UnixMicros;
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinSet;

/// Mixpanel's side as presence sees it, with pauses that a test can wait for.
struct Stage {
    mixpanel: Mixpanel,
    counts: Counts,
    run: Option<futures_util::future::BoxFuture<'static, ()>>,
    running: JoinSet<()>,
}

fn options(url: impl Into<String>) -> MixpanelOptions {
    MixpanelOptions {
        flush_interval: Duration::from_millis(20),
        backoff: Duration::from_millis(4),
        patience: Duration::from_mins(5),
        ..MixpanelOptions::new(url, TOKEN)
    }
}

impl Stage {
    /// Nothing is sent yet.
    fn idle(options: &MixpanelOptions) -> Self {
        let counts = Counts::default();
        let (mixpanel, run) = Mixpanel::new(options, clock(), counts.clone()).unwrap();
        Self { mixpanel, counts, run: Some(run), running: JoinSet::new() }
    }

    fn run(options: &MixpanelOptions) -> Self {
        let mut stage = Self::idle(options);
        stage.begin();
        stage
    }

    fn begin(&mut self) {
        self.running.spawn(self.run.take().expect("begun once"));
    }

    async fn stop(&mut self) {
        self.running.shutdown().await;
        self.run = None;
    }

    fn report(&self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            self.mixpanel.report(report(number));
        }
    }

    /// All that was reported is sent or dropped.
    async fn settled(&self) {
        eventually("the queue is empty", async || self.counts.queue.get() == 0).await;
    }

    async fn dropped(&self, why: Dropped, count: u64) {
        eventually(why.as_str(), async || self.counts.dropped(why) == count).await;
    }

    fn all_dropped(&self) -> u64 {
        Dropped::ALL.into_iter().map(|why| self.counts.dropped(why)).sum()
    }
}

fn report(number: usize) -> Report {
    Report {
        what: if number.is_multiple_of(2) { What::Reconnect } else { What::Disconnect },
        user_id: format!("user-{number}").parse().unwrap(),
        org_id: "school".parse().unwrap(),
        role: "teacher".into(),
        lesson: Some("math".parse().unwrap()),
        room: Some("room-7".into()),
        at: UnixMicros(jiff::Timestamp::now().as_microsecond()),
        sid: format!("socket-{number}").parse().unwrap(),
    }
}

fn users(double: &Double) -> HashSet<String> {
    let user = |event: &Value| event["properties"]["distinct_id"].as_str().unwrap().to_owned();
    double.events().iter().map(user).collect()
}

fn expected(numbers: impl IntoIterator<Item = usize>) -> HashSet<String> {
    numbers.into_iter().map(|number| format!("user-{number}")).collect()
}

#[test]
fn without_analytics_nobody_is_told() {
    NoAnalytics.report(report(1));
}

#[tokio::test]
async fn what_is_reported_arrives_as_it_was() {
    let double = Double::start([]).await;
    let stage = Stage::run(&options(double.url()));
    let mut bare = Report { lesson: None, room: None, ..report(2) };
    bare.at = UnixMicros(1_700_000_000_123_456);
    bare.role = "\"é\u{0}\u{1f600}".into();
    stage.report([1]);
    stage.mixpanel.report(bare);
    stage.settled().await;
    let events = double.events();
    let of = |user: &str| events.iter().find(|event| event["properties"]["distinct_id"] == user).unwrap();
    let (full, bare) = (of("user-1"), of("user-2"));
    assert_eq!((&full["event"], &bare["event"]), (&json!("disconnect"), &json!("reconnect")));
    let of = |event: &Value, names: &[&str]| {
        names.iter().map(|name| event["properties"][*name].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        of(full, &["org", "role", "lesson", "room"]),
        [json!("school"), json!("teacher"), json!("math"), json!("room-7")]
    );
    assert_eq!(
        of(bare, &["time", "role", "lesson", "room"]),
        [json!(1_700_000_000_123_i64), json!("\"é\u{0}\u{1f600}"), Value::Null, Value::Null]
    );
    assert_eq!((stage.counts.sent.get(), stage.all_dropped()), (2, 0));
}

#[tokio::test]
async fn reports_go_together_and_no_more_than_mixpanel_takes() {
    let double = Double::start([]).await;
    let mut stage = Stage::idle(&options(double.url()));
    stage.report(0..4500);
    stage.begin();
    stage.settled().await;
    assert_eq!(double.asked(), [2000, 2000, 500]);
    assert_eq!(users(&double), expected(0..4500));
}

#[tokio::test]
async fn large_reports_are_fewer_to_a_request() {
    let double = Double::start([]).await;
    let mut stage = Stage::idle(&options(double.url()));
    for number in 0..1500 {
        let long = Some("\u{1f600}".repeat(10_000));
        let role = "\u{1}".repeat(10_000);
        stage.mixpanel.report(Report { room: long, role, ..report(number) });
    }
    stage.begin();
    stage.settled().await;
    assert!(double.asked().len() > 1, "{:?}", double.asked());
    assert_eq!(users(&double), expected(0..1500));
    assert_eq!(stage.all_dropped(), 0);
}

#[tokio::test]
async fn a_full_queue_drops_the_newest_and_takes_more_once_there_is_room() {
    let double = Double::start([]).await;
    let mut stage = Stage::idle(&MixpanelOptions { queue: 3, ..options(double.url()) });
    stage.report(0..5);
    assert_eq!((stage.counts.queue.get(), stage.counts.dropped(Dropped::QueueFull)), (3, 2));
    stage.begin();
    stage.settled().await;
    stage.report([7]);
    stage.settled().await;
    assert_eq!(users(&double), expected([0, 1, 2, 7]));
    assert_eq!((stage.counts.sent.get(), stage.all_dropped()), (4, 2));
}

#[tokio::test]
async fn what_is_being_sent_takes_room_in_the_queue() {
    let double = Double::start([How::Hang]).await;
    let stage = Stage::run(&MixpanelOptions { queue: 2, ..options(double.url()) });
    stage.report([1]);
    eventually("it is being sent", async || double.asked().len() == 1).await;
    stage.report([2, 3, 4]);
    assert_eq!((stage.counts.queue.get(), stage.counts.dropped(Dropped::QueueFull)), (2, 2));
}

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

#[tokio::test]
async fn users_whom_mixpanel_takes_for_nobody_spoil_no_batch() {
    let double = Double::start([]).await;
    let stage = Stage::run(&options(double.url()));
    for user in ["null", "0", "anonymous", "unknown"] {
        stage.mixpanel.report(Report { user_id: user.parse().unwrap(), ..report(1) });
    }
    stage.report([1]);
    stage.settled().await;
    assert_eq!(users(&double), expected([1]));
    assert_eq!(stage.counts.dropped(Dropped::Invalid), 4);
}

#[test]
fn options_that_can_never_work_are_refused_without_the_token() {
    let refused = |options: &MixpanelOptions| {
        let made = Mixpanel::new(options, clock(), Counts::default()).map(|(mixpanel, _)| mixpanel);
        let error = made.unwrap_err();
        let text = format!("{error} {error:?} {options:?}");
        assert!(!text.contains(TOKEN), "{text}");
    };
    refused(&options("http://mixpanel.example"));
    refused(&options("ftp://127.0.0.1"));
    refused(&options(format!("https://{TOKEN}@mixpanel.example")));
    refused(&MixpanelOptions { token: String::new(), ..options("https://mixpanel.example") });
    let (mixpanel, _) = Mixpanel::new(
        &MixpanelOptions { allow_http: true, ..options("http://mixpanel.example") },
        clock(),
        Counts::default(),
    )
    .unwrap();
    assert!(!format!("{mixpanel:?}").contains(TOKEN));
}

/// What is logged, all levels, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_says_what_is_wrong_once_and_never_the_token() {
    const ECHO: &str = r#"{"status":0,"error":"token 0123456789abcdef0123456789abcdef is unknown"}"#;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let _guard = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
    let refusal = || How::Say(401, ECHO, None);
    let double = Double::start([refusal(), refusal(), How::say(503), How::say(503), How::Take]).await;
    let stage = Stage::run(&options(double.url()));
    for number in 0..3 {
        stage.report([number]);
        stage.settled().await;
    }
    assert_eq!((stage.counts.sent.get(), stage.counts.dropped(Dropped::Refused)), (1, 2));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains(TOKEN), "{text}");
    let said = |what: &str| text.lines().filter(|line| line.contains("WARN") && line.contains(what)).count();
    assert_eq!((said("token … is unknown"), said("503")), (1, 1), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("takes reports again")).count(), 1, "{text}");
}
