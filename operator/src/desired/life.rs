//! How a pod begins and ends: its probes, and the time it has to let go of its agents.

use k8s_openapi::{
    api::core::v1::{HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SleepAction},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::names::METRICS;
use crate::crd::{Drain, Period};

/// What the server may take beyond its deadline: to publish what is left, and to tell analytics.
const MARGIN: i64 = 11;

/// A pod that is killed before it has let go breaks its agents' connections.
pub(super) fn grace(of: &Drain) -> i64 {
    secs(of.pre_stop) + secs(of.deadline) + MARGIN
}

/// The pod goes on as before while Services and load balancers learn that it ends; the server drains after that.
pub(super) fn pre_stop(of: &Drain) -> Option<Lifecycle> {
    let sleep = SleepAction { seconds: secs(of.pre_stop) };
    let handler = LifecycleHandler { sleep: Some(sleep), ..LifecycleHandler::default() };
    (of.pre_stop > Period::secs(0)).then(|| Lifecycle { pre_stop: Some(handler), ..Lifecycle::default() })
}

/// The database and NATS may be slow to answer at first: two minutes, then the pod is started again.
pub(super) fn startup() -> Probe {
    Probe {
        period_seconds: Some(2),
        failure_threshold: Some(60),
        timeout_seconds: Some(2),
        ..get("/healthz")
    }
}

/// A pod that is told to let go of its agents is out of the Services within seconds.
pub(super) fn readiness() -> Probe {
    Probe { period_seconds: Some(2), failure_threshold: Some(2), timeout_seconds: Some(2), ..get("/readyz") }
}

/// Killing a pod costs all its agents their connection: only one that has been silent for a minute and more.
pub(super) fn liveness() -> Probe {
    Probe {
        period_seconds: Some(10),
        failure_threshold: Some(6),
        timeout_seconds: Some(5),
        ..get("/healthz")
    }
}

fn get(path: &str) -> Probe {
    let http_get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String(METRICS.0.to_owned()),
        scheme: Some("HTTP".to_owned()),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(http_get), ..Probe::default() }
}

fn secs(period: Period) -> i64 {
    i64::try_from(period.as_secs_up()).unwrap_or(i64::MAX / 4)
}
