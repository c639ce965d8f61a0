//! THE table of metrics: every name, its labels and its meaning. One value, handed on in an `Arc`.
//!
//! Labels are closed sets. Agents, classrooms and audiences are never among them: their number has no bound.

pub use super::knocks::{Refusal, Upgrade};

use super::Forwarded;
use crate::{event::Poison, ports::peers::Answer};
use presence_api::lesson::Code;
use presence_core::{app::Kind, close::Reason, drain::Cause, time::UnixMicros};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{fmt, sync::atomic::AtomicU64, time::Duration};

/// How a connect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Connected,
    Refused(Reason),
}

/// How a request of a classroom app ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppOutcome {
    Done,
    /// A lost connection was taken up again.
    Recovered,
    Refused(Code),
}

impl AppOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Recovered => "recovered",
            Self::Refused(code) => code.as_str(),
        }
    }
}

/// How a resume ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resumed {
    Complete,
    Resync,
}

impl Resumed {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Resync => "resync",
        }
    }
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Refused(reason) => reason.row().name,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCause {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAnswer {
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRequest {
    route: String,
    method: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// A row: field, type, its zero, the name without `presence_`, the help text.
macro_rules! table {
    ($($vis:vis $field:ident: $type:ty = $zero:expr, $name:literal, $help:literal;)+) => {
        /// What is counted. Gauges and plain counters are public; what has labels is counted by a method.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] $vis $field: $type,)+
        }

        impl Metrics {
            fn registered() -> Self {
                let mut registry = Registry::with_prefix("presence");
                $(let $field: $type = $zero; registry.register($name, $help, <$type>::clone(&$field));)+
                Self { registry, $($field,)+ }
            }
        }
    };
}

table! {
    pub sessions: Gauge = Gauge::default(), "sessions", "Sessions that this replica holds";
    pub unauthenticated: Gauge = Gauge::default(), "unauthenticated_sockets", "Sockets without a session";
    connects: Family<ByOutcome, Counter> = Family::default(), "connects", "Connects, by how they ended";
    connect_duration: Histogram = durations(), "connect_duration_seconds", "From the first frame to the answer";
    closes: Family<ByReason, Counter> = Family::default(), "closes", "Sockets closed, by reason";
    resumes: Family<ByResult, Counter> = Family::default(), "resumes", "Resumes, by whether they were complete";
    refused: Family<ByCause, Counter> = Family::default(), "refused", "Sockets not let in, by cause";
    pub handovers: Counter = Counter::default(), "handovers", "Sessions that came over whole from another replica";
    pub drain_state: Gauge = Gauge::default(), "drain_state", "0 serving, 1 letting go of every agent, 2 has let go";
    drain_told: Family<ByReason, Counter> = Family::default(), "drain_told", "Agents told to connect elsewhere, by why";
    pub events_received: Counter = Counter::default(), "events_received", "Events that arrived from the bus";
    pub events_delivered: Counter = Counter::default(), "events_delivered", "Events handed to sockets";
    poison: Family<ByKind, Counter> = Family::default(), "events_poison", "Messages that are no events, by what is wrong";
    pub queue_overflows: Counter = Counter::default(), "queue_overflows", "Sockets that read too slowly";
    pub outbox_pending: Gauge = Gauge::default(), "outbox_pending", "Events in the store, not published yet";
    pub outbox_oldest: Seconds = Seconds::default(), "outbox_oldest_seconds", "How long the oldest of them waits";
    pub outbox_published: Counter = Counter::default(), "outbox_published", "Events published";
    peer_asks: Family<ByAnswer, Counter> = Family::default(), "peer_asks", "Sockets that other replicas were asked to let go, by answer";
    pub peer_garbage: Counter = Counter::default(), "peer_garbage", "Messages to this replica that are no asks";
    forwarded: Family<ByOutcome, Counter> = Family::default(), "socketio_forwarded", "Requests for connections that other replicas hold, by how they ended";
    pub forwarding: Gauge = Gauge::default(), "socketio_forwarding", "Requests of polling that wait for the replica that holds their connection";
    pub tunnels: Gauge = Gauge::default(), "socketio_tunnels", "WebSockets that are copied to the replicas that hold them";
    pub notice_garbage: Counter = Counter::default(), "notice_garbage", "Messages to all replicas that are no notices";
    pub bus_up: Gauge = Gauge::default(), "bus_up", "1 while the bus is reachable";
    pub store_statements: Counter = Counter::default(), "store_statements", "Statements run by the store";
    pub lease_held: Gauge = Gauge::default(), "lease_held", "1 while this replica's lease runs, as far as it knows";
    pub lease_lost: Counter = Counter::default(), "lease_lost", "Times the lease had lapsed and was registered again";
    pub swept: Counter = Counter::default(), "sessions_swept", "Sessions of lapsed replicas that this one ended";
    pub ghosts: Counter = Counter::default(), "ghosts", "Sessions given up because nobody here answered for them";
    pub session_lost: Counter = Counter::default(), "session_lost", "Sockets closed because the store had lost their session";
    pub lesson_state_up: Gauge = Gauge::default(), "lesson_state_up", "1 while the lesson state is reachable";
    pub app_sockets_restored: Counter = Counter::default(),
        "app_sockets_restored", "Sockets of apps written again, which the lesson state had lost";
    pub app_sockets_ended: Counter = Counter::default(),
        "app_sockets_ended", "Sockets of apps ended in the lesson state, which nobody answered for";
    pub analytics_sent: Counter = Counter::default(), "analytics_sent", "Reports that Mixpanel took";
    analytics_dropped: Family<ByReason, Counter> = Family::default(), "analytics_dropped", "Reports dropped, by why";
    pub analytics_queue: Gauge = Gauge::default(), "analytics_queue", "Reports that wait, or are being sent";
    pub polling: Gauge = Gauge::default(), "socketio_polling_clients", "Clients that poll, or wait for their upgrade";
    upgrades: Family<ByResult, Counter> = Family::default(), "socketio_upgrades", "Changes from polling to a WebSocket";
    app_refusals: Family<ByCause, Counter> = Family::default(),
        "socketio_requests_refused", "Requests of Engine.IO that were not served, by cause";
    http_requests: Family<ByRequest, Counter> = Family::default(), "http_requests", "Requests answered";
    http_duration: Family<ByRoute, Histogram> = Family::new_with_constructor(durations),
        "http_request_duration_seconds", "From request to answer";
    app_sockets: Family<ByKind, Gauge> = Family::default(), "app_sockets", "Classroom apps that are in, by kind";
    app_connects: Family<ByOutcome, Counter> = Family::default(), "app_connects", "Connects of classroom apps, by how they ended";
    lesson_joins: Family<ByOutcome, Counter> = Family::default(), "lesson_joins", "join_lesson, by how it ended";
    pub app_events_unknown: Counter = Counter::default(), "app_events_unknown", "Events of classroom apps that nobody serves";
    app_notices: Family<ByKind, Counter> = Family::default(), "app_notices", "Notices told to an org, by whether other replicas heard";
    start_time: Seconds = Seconds::default(), "start_time_seconds", "When the process began, since 1970";
    build: Family<Build, Gauge> = Family::default(), "build_info", "What is running";
}

impl Metrics {
    /// A table of zeros, for a process that began at `started`.
    pub fn new(started: UnixMicros) -> Self {
        let metrics = Self::registered();
        #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds last for centuries")]
        metrics.start_time.set(started.0 as f64 / 1e6);
        let build = Build { version: env!("CARGO_PKG_VERSION") };
        metrics.build.get_or_create(&build).set(1);
        metrics.show_zeros();
        metrics
    }

    /// A label that was never counted shows as 0, so that its first count is seen as a change.
    fn show_zeros(&self) {
        let show = |counter: &Counter| counter.inc_by(0);
        show(&self.connects.get_or_create(&ByOutcome { outcome: Outcome::Connected.as_str() }));
        for reason in Reason::ALL {
            show(&self.closes.get_or_create(&ByReason { reason: reason.row().name }));
        }
        for poison in Poison::ALL {
            show(&self.poison.get_or_create(&ByKind { kind: poison.as_str() }));
        }
        for cause in Refusal::ALL {
            show(&self.refused.get_or_create(&ByCause { cause: cause.as_str() }));
        }
        for cause in Cause::ALL {
            self.drain_told(cause, 0);
        }
        for answer in Answer::ALL.map(Some).into_iter().chain([None]) {
            show(&self.peer_asks.get_or_create(&answer_label(answer)));
        }
        for result in [Upgrade::Done, Upgrade::GivenUp] {
            show(&self.upgrades.get_or_create(&ByResult { result: result.as_str() }));
        }
        for ended in Forwarded::ALL {
            show(&self.forwarded.get_or_create(&ByOutcome { outcome: ended.as_str() }));
        }
        for kind in Kind::ALL {
            self.app_sockets.get_or_create(&ByKind { kind: kind.as_str() }).set(0);
        }
        for outcome in
            [AppOutcome::Done, AppOutcome::Recovered].into_iter().chain(Code::ALL.map(AppOutcome::Refused))
        {
            let label = ByOutcome { outcome: outcome.as_str() };
            show(&self.app_connects.get_or_create(&label));
            show(&self.lesson_joins.get_or_create(&label));
        }
        for told in [true, false] {
            show(&self.app_notices.get_or_create(&notice_label(told)));
        }
        for result in [Resumed::Complete, Resumed::Resync] {
            show(&self.resumes.get_or_create(&ByResult { result: result.as_str() }));
        }
    }

    pub fn connect(&self, outcome: Outcome, took: Duration) {
        self.connects.get_or_create(&ByOutcome { outcome: outcome.as_str() }).inc();
        self.connect_duration.observe(took.as_secs_f64());
    }

    pub fn close(&self, reason: Reason) {
        self.closes.get_or_create(&ByReason { reason: reason.row().name }).inc();
    }

    pub fn resume(&self, result: Resumed) {
        self.resumes.get_or_create(&ByResult { result: result.as_str() }).inc();
    }

    /// `None`: no answer came in time.
    pub fn peer_ask(&self, answer: Option<Answer>) {
        self.peer_asks.get_or_create(&answer_label(answer)).inc();
    }

    pub fn forward(&self, ended: Forwarded) {
        self.forwarded.get_or_create(&ByOutcome { outcome: ended.as_str() }).inc();
    }

    pub fn refuse(&self, cause: Refusal) {
        self.refused.get_or_create(&ByCause { cause: cause.as_str() }).inc();
    }

    pub fn upgrade(&self, result: Upgrade) {
        self.upgrades.get_or_create(&ByResult { result: result.as_str() }).inc();
    }

    /// So many requests of Engine.IO were not served.
    pub fn app_refused(&self, cause: &'static str, count: u64) {
        self.app_refusals.get_or_create(&ByCause { cause }).inc_by(count);
    }

    /// How many apps of this kind are in.
    pub fn app_sockets(&self, kind: Kind) -> Gauge {
        self.app_sockets.get_or_create(&ByKind { kind: kind.as_str() }).clone()
    }

    pub fn app_connect(&self, outcome: AppOutcome) {
        self.app_connects.get_or_create(&ByOutcome { outcome: outcome.as_str() }).inc();
    }

    pub fn lesson_join(&self, outcome: AppOutcome) {
        self.lesson_joins.get_or_create(&ByOutcome { outcome: outcome.as_str() }).inc();
    }

    /// `everywhere`: other replicas hear it, too.
    pub fn app_notice(&self, everywhere: bool) {
        self.app_notices.get_or_create(&notice_label(everywhere)).inc();
    }

    pub fn drain_told(&self, cause: Cause, count: u64) {
        self.drain_told.get_or_create(&ByReason { reason: cause.as_str() }).inc_by(count);
    }

    pub fn poison(&self, poison: Poison, count: u64) {
        self.poison.get_or_create(&ByKind { kind: poison.as_str() }).inc_by(count);
    }

    /// Where reports are counted that were dropped for a reason: one of a closed set.
    pub fn analytics_dropped(&self, reason: &'static str) -> Counter {
        self.analytics_dropped.get_or_create_owned(&ByReason { reason })
    }

    /// `route` is the route's pattern, never the path itself.
    pub fn http(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels =
            ByRequest { route: route.to_owned(), method: method_name(method), status: status_class(status) };
        self.http_requests.get_or_create(&labels).inc();
        let labels = ByRoute { route: route.to_owned() };
        self.http_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// All of it, as `OpenMetrics` text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn answer_label(answer: Option<Answer>) -> ByAnswer {
    ByAnswer { answer: answer.map_or("none", Answer::as_str) }
}

fn notice_label(everywhere: bool) -> ByKind {
    ByKind { kind: if everywhere { "everywhere" } else { "here_only" } }
}

/// From 1 ms to 16 s.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// A client may invent methods; labels may not.
fn method_name(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

const fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests;
