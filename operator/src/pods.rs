//! Asks pods how they are: `GET /api/v1/stats` of their admin API, with the shared secret. Bounded in time, in number at a
//! time and in what is read; a pod that does not answer well is unknown, never empty.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use presence_api::admin::Stats;
use reqwest::{Client, redirect::Policy};
use tokio::sync::Semaphore;

use crate::{observed::SeenPod, telemetry::Metrics};

/// Where the admin API of a pod is.
const PORT: u16 = 8081;
/// One question, from connecting to the last byte.
const ANSWER: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);
/// Questions at a time, over all resources: more wait.
const AT_A_TIME: usize = 16;
/// What is read of an answer; a longer one counts as none.
const LONGEST: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
enum NoStats {
    #[error("it does not answer")]
    Silent(#[source] reqwest::Error),
    #[error("it answers with status {0}")]
    Status(u16),
    #[error("its answer is too long")]
    TooLong,
    #[error("its answer is not understood")]
    Unclear(#[source] serde_json::Error),
}

/// Asks on behalf of all resources.
#[derive(Clone, Debug)]
pub struct Pods {
    http: Client,
    turns: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Pods {
    pub fn new(metrics: Arc<Metrics>) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            // A pod hangs up on whoever is idle for seconds, and that could be just when it is asked anew.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { http, turns: Arc::new(Semaphore::new(AT_A_TIME)), metrics })
    }

    /// Each pod with what it said. Without a secret nobody is asked.
    pub async fn ask(&self, pods: Vec<Pod>, secret: Option<&str>) -> Vec<SeenPod> {
        let asked = pods.into_iter().map(|pod| async move {
            let stats = match (secret, address(&pod)) {
                (Some(secret), Some(address)) => self.one(&pod, address, secret).await,
                _ => None,
            };
            SeenPod { pod, stats }
        });
        stream::iter(asked).buffered(AT_A_TIME).collect().await
    }

    async fn one(&self, pod: &Pod, address: SocketAddr, secret: &str) -> Option<Stats> {
        // Never closed, so it cannot fail.
        let _turn = self.turns.acquire().await.ok()?;
        let answer = self.stats(address, secret).await;
        self.metrics.asked(answer.is_ok());
        match answer {
            Ok(stats) => Some(stats),
            Err(error) => {
                let (name, namespace) = (&pod.metadata.name, &pod.metadata.namespace);
                tracing::debug!(pod = ?name, ?namespace, error = %crate::telemetry::chain(&error), "a pod is unknown");
                None
            }
        }
    }

    async fn stats(&self, address: SocketAddr, secret: &str) -> Result<Stats, NoStats> {
        let request = self.http.get(format!("http://{address}/api/v1/stats")).bearer_auth(secret);
        let mut answer = request.send().await.map_err(NoStats::Silent)?;
        if !answer.status().is_success() {
            return Err(NoStats::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(NoStats::Silent)? {
            if body.len() + chunk.len() > LONGEST {
                return Err(NoStats::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(NoStats::Unclear)
    }
}

/// Of a pod that runs: one that is on its way out is asked too, for it still has agents.
fn address(pod: &Pod) -> Option<SocketAddr> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Running") || status.host_ip == status.pod_ip {
        return None;
    }
    let ip: IpAddr = status.pod_ip.as_deref()?.parse().ok()?;
    Some(SocketAddr::new(ip, PORT))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodStatus;

    use super::*;

    fn pod(phase: &str, ip: Option<&str>) -> Pod {
        let status = PodStatus {
            phase: Some(phase.to_owned()),
            pod_ip: ip.map(ToOwned::to_owned),
            host_ip: Some("10.0.0.1".to_owned()),
            ..PodStatus::default()
        };
        Pod { status: Some(status), ..Pod::default() }
    }

    #[test]
    fn only_a_running_pod_with_an_address_of_its_own_is_asked() {
        let of = |pod: &Pod| address(pod).map(|address| address.to_string());
        assert_eq!(of(&pod("Running", Some("10.1.2.3"))).as_deref(), Some("10.1.2.3:8081"));
        assert_eq!(of(&pod("Running", Some("fd00::1"))).as_deref(), Some("[fd00::1]:8081"));
        assert_eq!(of(&pod("Running", None)), None);
        assert_eq!(of(&pod("Running", Some("10.0.0.1"))), None, "an address of its node is not its own");
        assert_eq!(of(&pod("Running", Some("evil/path"))), None);
        assert_eq!(of(&pod("Pending", Some("10.1.2.3"))), None);
        assert_eq!(of(&Pod::default()), None);
    }
}
