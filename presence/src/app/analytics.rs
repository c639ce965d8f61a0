//! Who hears of comings and goings, as the settings say.

use crate::{
    adapters::{
        analytics_mixpanel::{Counts, Dropped, Mixpanel, MixpanelOptions},
        analytics_none::NoAnalytics,
    },
    cli::Failure,
    config::Config,
    ports::{analytics::Analytics, clock::Clock},
    telemetry::Metrics,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;

pub(super) struct OpenAnalytics {
    pub(super) analytics: Arc<dyn Analytics>,
    /// Sends what is reported, where there is anybody to send it to. It never ends: a vital task.
    pub(super) run: Option<BoxFuture<'static, ()>>,
    /// Sends what is left, within two seconds. For after `shutdown::shut_down`, which has stopped `run`.
    pub(super) last_words: Option<BoxFuture<'static, ()>>,
}

pub(super) fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<OpenAnalytics, Failure> {
    let settings = &config.analytics;
    let (Some(url), Some(token)) = (&settings.url, &settings.token) else {
        return Ok(OpenAnalytics { analytics: Arc::new(NoAnalytics), run: None, last_words: None });
    };
    let options = MixpanelOptions {
        allow_http: settings.allow_http,
        queue: settings.queue as usize,
        flush_interval: settings.flush_interval.0,
        timeout: settings.timeout.0,
        patience: settings.patience.0,
        ..MixpanelOptions::new(url.to_string(), token.expose())
    };
    let counts = Counts {
        sent: metrics.analytics_sent.clone(),
        dropped: Dropped::ALL.map(|why| metrics.analytics_dropped(why.as_str())),
        queue: metrics.analytics_queue.clone(),
    };
    let (mixpanel, run) = Mixpanel::new(&options, clock, counts)
        .map_err(|error| Failure::other("the settings of analytics cannot be used", error))?;
    let last = mixpanel.clone();
    Ok(OpenAnalytics {
        analytics: Arc::new(mixpanel),
        run: Some(run),
        last_words: Some(Box::pin(async move { last.flush().await })),
    })
}
