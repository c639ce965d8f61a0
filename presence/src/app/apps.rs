//! What the Socket.IO door works with, as the settings say: where it is open.

use super::analytics;
use crate::{
    adapters::{
        lesson_state_in_process::InProcessLessonState,
        lesson_state_redis::{Options, RedisLessonState},
    },
    apps::{Apps, Present},
    cli::Failure,
    config::{Config, bus::BusUrl, redis::RedisUrl, socketio::IdentitySource, store::StoreUrl},
    hub::Orgs,
    lifecycle::tasks::Tasks,
    ports::{clock::Clock, lesson_state::LessonState, lessons::Lessons, notices::Notices},
    telemetry::Metrics,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;

pub(super) struct OpenApps {
    pub(super) apps: Apps,
    /// What keeps them going, by name: none of it ever ends.
    running: Vec<(&'static str, BoxFuture<'static, ()>)>,
    /// For after everything else has stopped.
    pub(super) last_words: Option<BoxFuture<'static, ()>>,
}

/// `None`: the door is not open.
pub(super) fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    (lessons, notices): (Arc<dyn Lessons>, Arc<dyn Notices>),
) -> Result<Option<OpenApps>, Failure> {
    if !config.has_socketio() {
        return Ok(None);
    }
    warn(config);
    let mut running = vec![];
    let state: Arc<dyn LessonState> = match &config.redis.url {
        None => Arc::new(InProcessLessonState::new(clock.clone())),
        Some(url) => {
            let (state, run) = RedisLessonState::open(&options(config, url), clock.clone())
                .map_err(|error| Failure::other("the settings of redis cannot be used", error))?;
            running.push(("redis", run));
            state
        }
    };
    let analytics = analytics::open(config, clock.clone(), metrics)?;
    running.extend(analytics.run.map(|run| ("analytics", run)));
    let apps = Apps {
        state,
        lessons,
        analytics: analytics.analytics,
        notices,
        orgs: Orgs::default(),
        present: Present::default(),
    };
    Ok(Some(OpenApps { apps, running, last_words: analytics.last_words }))
}

fn options(config: &Config, url: &RedisUrl) -> Options {
    Options {
        url: url.expose().to_owned(),
        key_prefix: config.redis.key_prefix.clone(),
        tls_ca_file: config.redis.tls_ca_file.clone(),
    }
}

/// What whoever operates this should know of.
fn warn(config: &Config) {
    if config.socketio.identity == IdentitySource::Query {
        tracing::warn!(
            "socketio.identity is query: whoever has a token may say of which org and role it is; \
             meant for tokens that carry no more than sub"
        );
    }
    let is_alone =
        matches!(config.store_url(), StoreUrl::Sqlite(_)) || matches!(config.bus.url, BusUrl::InProcess);
    if config.redis.url.is_none() && !is_alone {
        tracing::warn!(
            "the Socket.IO door is open without redis.url: the lesson state is kept in this process, where no other \
             replica and no backend sees it"
        );
    }
}

impl OpenApps {
    pub(super) fn start(&mut self, tasks: &Tasks) {
        for (name, run) in self.running.drain(..) {
            tasks.start_vital(name, run);
        }
    }
}
