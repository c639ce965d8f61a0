//! THE table of the operator's metrics: every name, its labels and its meaning. One value, handed on in an `Arc`.
//!
//! Labels are closed sets. Names of resources are never among them: their number has no bound.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// All that was to be done is done.
    Done,
    /// It is tried again.
    Failed,
    /// The API server refused a write: somebody has to act.
    Refused,
    /// The lease was lost on the way.
    LeaseLost,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::LeaseLost => "lease_lost",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWrite {
    kind: String,
    verb: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRequest {
    verb: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReady {
    ready: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Every metric of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ByOutcome, Counter>,
    reconcile_seconds: Histogram,
    last_reconcile: Gauge<f64, AtomicU64>,
    writes: Family<ByWrite, Counter>,
    requests: Family<ByRequest, Counter>,
    leader: Gauge,
    resources: Family<ByReady, Gauge>,
    stats: Family<ByResult, Counter>,
    watch_failures: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let reconcile_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let mut metrics = Self {
            registry: Registry::with_prefix("presence_operator"),
            reconciles: Family::default(),
            reconcile_seconds,
            last_reconcile: Gauge::default(),
            writes: Family::default(),
            requests: Family::default(),
            leader: Gauge::default(),
            resources: Family::default(),
            stats: Family::default(),
            watch_failures: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let build: Family<Build, Gauge> = Family::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "1, with the operator's version", build);
        registry.register("reconciles", "Looks at a resource, by how they ended", self.reconciles.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "How long a look at a resource took, with its writes",
            Unit::Seconds,
            self.reconcile_seconds.clone(),
        );
        registry.register_with_unit(
            "last_successful_reconcile_timestamp",
            "When a look at any resource last ended well, since 1970",
            Unit::Seconds,
            self.last_reconcile.clone(),
        );
        registry.register(
            "writes",
            "Writes to the API server, by kind of object and verb",
            self.writes.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the API server, by verb (get, list, watch, create, update, patch, delete) and class of answer",
            self.requests.clone(),
        );
        registry.register("leader", "1 where this operator acts, 0 where it stands by", self.leader.clone());
        registry.register(
            "resources",
            "Resources that it acts for, by whether they are Ready",
            self.resources.clone(),
        );
        registry.register(
            "pod_stats",
            "Questions to pods how many agents they have, by result",
            self.stats.clone(),
        );
        registry.register(
            "watch_failures",
            "Watches that broke and are tried again",
            self.watch_failures.clone(),
        );
    }

    /// One look at one resource.
    pub fn reconciled(&self, outcome: Outcome, took: Duration, now: jiff::Timestamp) {
        self.reconciles.get_or_create(&ByOutcome { outcome: outcome.as_str() }).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
        if outcome == Outcome::Done {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
            self.last_reconcile.set(now.as_millisecond() as f64 / 1000.0);
        }
    }

    /// `kind` is one of those that the operator makes: a closed set.
    pub fn wrote(&self, kind: &str, verb: &'static str) {
        self.writes.get_or_create(&ByWrite { kind: kind.to_owned(), verb }).inc();
    }

    pub fn requested(&self, verb: &'static str, code: &'static str) {
        self.requests.get_or_create(&ByRequest { verb, code }).inc();
    }

    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// How many resources are ready, and how many are not.
    pub fn resources(&self, ready: usize, not_ready: usize) {
        let set = |label: &'static str, count: usize| {
            self.resources
                .get_or_create(&ByReady { ready: label })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set("true", ready);
        set("false", not_ready);
    }

    pub fn asked(&self, answered: bool) {
        let result = if answered { "answered" } else { "failed" };
        self.stats.get_or_create(&ByResult { result }).inc();
    }

    pub fn watch_failed(&self) {
        self.watch_failures.inc();
    }

    /// In the text format of `OpenMetrics`.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_named_after_the_operator_and_says_what_it_is() {
        let metrics = Metrics::default();
        metrics.reconciled(
            Outcome::Done,
            Duration::from_millis(5),
            jiff::Timestamp::from_second(1_800_000_000).unwrap(),
        );
        metrics.wrote("Deployment", "apply");
        metrics.requested("get", "2xx");
        metrics.leads(true);
        metrics.resources(2, 1);
        metrics.asked(false);
        metrics.watch_failed();
        let text = metrics.text().unwrap();
        for line in [
            "presence_operator_reconciles_total{outcome=\"done\"} 1",
            "presence_operator_reconcile_duration_seconds_count 1",
            "presence_operator_last_successful_reconcile_timestamp_seconds 1800000000.0",
            "presence_operator_writes_total{kind=\"Deployment\",verb=\"apply\"} 1",
            "presence_operator_api_requests_total{verb=\"get\",code=\"2xx\"} 1",
            "presence_operator_leader 1",
            "presence_operator_resources{ready=\"false\"} 1",
            "presence_operator_pod_stats_total{result=\"failed\"} 1",
            "presence_operator_watch_failures_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        let unnamed =
            text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("presence_operator_"));
        assert_eq!(unnamed.count(), 0);
    }
}
