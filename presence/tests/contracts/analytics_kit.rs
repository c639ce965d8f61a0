//! What the tests of analytics stand on: reports, Mixpanel's side as presence sees it, and who has arrived.

use crate::{
    analytics_double::{Double, TOKEN},
    bus_kit::{clock, eventually},
};
use presence::{
    adapters::analytics_mixpanel::{Counts, Dropped, Mixpanel, MixpanelOptions},
    ports::analytics::{Analytics, Report, What},
};
use presence_core::time::UnixMicros;
use serde_json::Value;
use std::{collections::HashSet, time::Duration};
use tokio::task::JoinSet;

/// Mixpanel's side as presence sees it, with pauses that a test can wait for.
pub(crate) struct Stage {
    pub(crate) mixpanel: Mixpanel,
    pub(crate) counts: Counts,
    run: Option<futures_util::future::BoxFuture<'static, ()>>,
    running: JoinSet<()>,
}

pub(crate) fn options(url: impl Into<String>) -> MixpanelOptions {
    MixpanelOptions {
        flush_interval: Duration::from_millis(20),
        backoff: Duration::from_millis(4),
        patience: Duration::from_mins(5),
        ..MixpanelOptions::new(url, TOKEN)
    }
}

impl Stage {
    /// Nothing is sent yet.
    pub(crate) fn idle(options: &MixpanelOptions) -> Self {
        let counts = Counts::default();
        let (mixpanel, run) = Mixpanel::new(options, clock(), counts.clone()).unwrap();
        Self { mixpanel, counts, run: Some(run), running: JoinSet::new() }
    }

    pub(crate) fn run(options: &MixpanelOptions) -> Self {
        let mut stage = Self::idle(options);
        stage.begin();
        stage
    }

    pub(crate) fn begin(&mut self) {
        self.running.spawn(self.run.take().expect("begun once"));
    }

    pub(crate) async fn stop(&mut self) {
        self.running.shutdown().await;
        self.run = None;
    }

    pub(crate) fn report(&self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            self.mixpanel.report(report(number));
        }
    }

    /// All that was reported is sent or dropped.
    pub(crate) async fn settled(&self) {
        eventually("the queue is empty", async || self.counts.queue.get() == 0).await;
    }

    pub(crate) async fn dropped(&self, why: Dropped, count: u64) {
        eventually(why.as_str(), async || self.counts.dropped(why) == count).await;
    }

    pub(crate) fn all_dropped(&self) -> u64 {
        Dropped::ALL.into_iter().map(|why| self.counts.dropped(why)).sum()
    }
}

pub(crate) fn report(number: usize) -> Report {
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

pub(crate) fn users(double: &Double) -> HashSet<String> {
    let user = |event: &Value| event["properties"]["distinct_id"].as_str().unwrap().to_owned();
    double.events().iter().map(user).collect()
}

pub(crate) fn expected(numbers: impl IntoIterator<Item = usize>) -> HashSet<String> {
    numbers.into_iter().map(|number| format!("user-{number}")).collect()
}
