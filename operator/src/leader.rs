//! Which of several operators acts: the one that holds the Lease. A [`Term`] tells whether it surely still does.
//!
//! Calls: `get`, `create` and `update` of one Lease by name. Each write names the resource version that it replaces, so two
//! never win; times are taken from our own monotonic clock, so clocks of nodes may differ. The lease lasts 15 s from its
//! renewal; its holder acts for 10 s from when it began to renew, which leaves 5 s for a write that is under way.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How long others wait after the last renewal that they saw.
const LEASE: Duration = Duration::from_secs(15);
/// How long its holder acts after it began the last renewal that came through.
const ACTS: Duration = Duration::from_secs(10);
/// How often the holder renews.
const RENEW: Duration = Duration::from_secs(5);
/// How often one that stands by looks, and how often the holder tries again after a failure.
const LOOK: Duration = Duration::from_secs(2);
/// One request.
const REQUEST: Duration = Duration::from_secs(3);

/// Until when its holder acts; `None` while somebody else does.
type Until = Option<Instant>;

#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    #[error("the lease was lost")]
    Lost,
    #[error("the lease cannot be read")]
    Unreadable(#[source] Box<kube::Error>),
    #[error("the API server does not answer")]
    TimedOut,
}

/// What came of an attempt to take or renew it.
enum Verdict {
    Held,
    Elsewhere,
    /// Somebody wrote it between our look and our write: the next look tells.
    Unclear,
}

/// Takes part in the election.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    until: watch::Sender<Until>,
    /// The lease as it was last read or written by us.
    known: Option<Lease>,
    /// Since when it has been like that, by our clock.
    unchanged_since: Instant,
}

/// What a holder acts under.
#[derive(Clone, Debug)]
pub struct Term {
    api: Api<Lease>,
    name: String,
    identity: String,
    until: watch::Receiver<Until>,
}

impl Candidate {
    /// `identity` is of this process alone; one that starts again under it (a container in its pod) goes on with its lease.
    pub fn new(api: Api<Lease>, name: &str, identity: &str) -> Self {
        let (until, _) = watch::channel(None);
        let (name, identity) = (name.to_owned(), identity.to_owned());
        Self { api, name, identity, until, known: None, unchanged_since: Instant::now() }
    }

    pub fn term(&self) -> Term {
        let (api, until) = (self.api.clone(), self.until.subscribe());
        Term { api, name: self.name.clone(), identity: self.identity.clone(), until }
    }

    /// Takes the lease when it is free, keeps it, and gives it back when `stop` says so.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = self.step().await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        self.release().await;
    }

    async fn step(&mut self) -> Duration {
        let began = Instant::now();
        match timeout(REQUEST, self.attempt()).await {
            Ok(Ok(Verdict::Held)) => {
                if self.until.send_replace(Some(began + ACTS)).is_none() {
                    tracing::info!(lease = self.name, "this operator acts");
                }
                return RENEW;
            }
            Ok(Ok(Verdict::Elsewhere)) => {
                if self.until.send_replace(None).is_some() {
                    tracing::warn!(lease = self.name, "another operator has taken the lease");
                }
            }
            Ok(Ok(Verdict::Unclear)) => {}
            Ok(Err(error)) => {
                self.forget();
                tracing::warn!(lease = self.name, error = %crate::telemetry::chain(&error), "the lease cannot be kept");
            }
            Err(_) => {
                self.forget();
                tracing::warn!(lease = self.name, "the lease cannot be kept: the API server does not answer");
            }
        }
        // A renewal that failed is tried again until the time to act has passed.
        if self.until.borrow().is_some_and(|until| until <= Instant::now()) {
            self.until.send_replace(None);
            tracing::warn!(
                lease = self.name,
                "the lease could not be renewed in time: this operator stands by"
            );
        }
        LOOK
    }

    async fn attempt(&mut self) -> Result<Verdict, kube::Error> {
        let leading = self.until.borrow().is_some();
        if !leading || self.known.is_none() {
            self.look().await?;
        }
        let Some(known) = self.known.clone() else { return self.create().await };
        let spec = known.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder != self.identity && !holder.is_empty() && self.unchanged_since.elapsed() < lasts(&spec) {
            return Ok(Verdict::Elsewhere);
        }
        self.write(known).await
    }

    /// A record that could not be written may have been, all the same: it is read again.
    fn forget(&mut self) {
        if self.until.borrow().is_some() {
            self.known = None;
        }
    }

    async fn look(&mut self) -> Result<(), kube::Error> {
        let found = self.api.get_opt(&self.name).await?;
        let version =
            |lease: &Option<Lease>| lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        if version(&found) != version(&self.known) {
            self.unchanged_since = Instant::now();
        }
        self.known = found;
        Ok(())
    }

    async fn create(&mut self) -> Result<Verdict, kube::Error> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.spec(None)) };
        let made = self.api.create(&PostParams::default(), &lease).await;
        self.outcome(made)
    }

    async fn write(&mut self, mut lease: Lease) -> Result<Verdict, kube::Error> {
        lease.spec = Some(self.spec(lease.spec.as_ref()));
        lease.metadata.managed_fields = None;
        let written = self.api.replace(&self.name, &PostParams::default(), &lease).await;
        self.outcome(written)
    }

    fn outcome(&mut self, written: Result<Lease, kube::Error>) -> Result<Verdict, kube::Error> {
        match written {
            Ok(lease) => {
                self.known = Some(lease);
                self.unchanged_since = Instant::now();
                Ok(Verdict::Held)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                self.known = None;
                Ok(Verdict::Unclear)
            }
            Err(error) => Err(error),
        }
    }

    fn spec(&self, former: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let same = former.filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = former.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            acquire_time: same.and_then(|spec| spec.acquire_time.clone()).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if same.is_some() { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }

    /// Another one need not wait for it to run out.
    async fn release(mut self) {
        if self.until.send_replace(None).is_none() {
            return;
        }
        let Some(mut lease) = self.known.take() else { return };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        lease.metadata.managed_fields = None;
        match timeout(REQUEST, self.api.replace(&self.name, &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, "the lease is given back"),
            // It runs out by itself.
            Ok(Err(error)) => {
                tracing::warn!(error = %crate::telemetry::chain(&error), "the lease cannot be given back");
            }
            Err(_) => tracing::warn!("the lease cannot be given back: the API server does not answer"),
        }
    }
}

/// How long the holder said that it lasts. Anything odd counts as ours.
fn lasts(spec: &LeaseSpec) -> Duration {
    let said = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    said.map_or(LEASE, Duration::from_secs).clamp(Duration::from_secs(1), Duration::from_mins(1))
}

impl Term {
    /// Whether the lease is surely held now.
    pub fn sure(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Before a write.
    pub fn check(&self) -> Result<(), LeaderError> {
        if self.sure() { Ok(()) } else { Err(LeaderError::Lost) }
    }

    /// Before a destructive write: asks the API server who holds it.
    pub async fn confirm(&self) -> Result<(), LeaderError> {
        self.check()?;
        let lease = timeout(REQUEST, self.api.get(&self.name)).await.map_err(|_| LeaderError::TimedOut)?;
        let lease = lease.map_err(|error| LeaderError::Unreadable(Box::new(error)))?;
        match lease.spec.and_then(|spec| spec.holder_identity) {
            Some(holder) if holder == self.identity => self.check(),
            _ => Err(LeaderError::Lost),
        }
    }

    /// Returns once it is held.
    pub async fn begun(&mut self) {
        while !self.sure() {
            if self.until.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns once it is no longer surely held.
    pub async fn ended(&mut self) {
        loop {
            let Some(until) = *self.until.borrow_and_update() else { return };
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                biased;
                changed = self.until.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = sleep_until(until) => {}
            }
        }
    }
}
