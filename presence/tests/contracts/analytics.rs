//! The contract of the `Analytics` port: none, and Mixpanel, against a double that checks every request.

use crate::{
    analytics_double::{Double, How, TOKEN},
    analytics_kit::{Stage, expected, options, report, users},
    bus_kit::{clock, eventually},
};
use presence::{
    adapters::{
        analytics_mixpanel::{Counts, Dropped, Mixpanel, MixpanelOptions},
        analytics_none::NoAnalytics,
    },
    ports::analytics::{Analytics, Report},
};
use presence_core::time::UnixMicros;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

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
    // With a single subscriber, `tracing` would let another test's thread, which has none, decide for all of them
    // whether a line is ever of interest.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
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
