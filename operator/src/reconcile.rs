//! One look at one resource: fetch → validate → desired → plan → apply → status. A line, from top to bottom.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource as _, ResourceExt as _, api::DynamicObject};

use crate::{
    apply::{WriteError, Writer},
    crd::{ConditionType, PresenceCluster, PresenceClusterStatus, Reason},
    desired::{self, Desired, names},
    events::Events,
    facts::Facts,
    fetch::{FetchError, Fetcher, Live},
    kinds::KnownKinds,
    memory::{Kept, Memories, Memory, Secrets},
    object::ObjectRef,
    observed::Observed,
    plan::{Action, Plan, Stage, plan},
    queue::Key,
    rotate::{self, ROTATE, Shared, Word},
    status::{View, changes, status},
    telemetry::metrics::Outcome,
    validate::{Finding, blocks, findings, taken, unservable, wanted},
};

/// How often pods are asked for their agents; and how often a status that differs in nothing else is written.
const AGENTS: Duration = Duration::from_secs(10);
/// How soon what was just written is looked at again, if no watch has said so.
const WRITTEN: Duration = Duration::from_secs(5);
/// Between two steps of a rotation of the shared secret that only await the next look.
const ROTATING: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("it cannot be understood: is its CustomResourceDefinition of this operator's release?")]
    Unclear(#[source] serde_json::Error),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ReconcileError {
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Write(WriteError::Refused { .. } | WriteError::Taken(_)) => Outcome::Refused,
            Self::Write(WriteError::Lease(_) | WriteError::Ending) => Outcome::LeaseLost,
            _ => Outcome::Failed,
        }
    }
}

/// What a look needs.
#[derive(Debug)]
pub struct Reconciler {
    pub fetcher: Fetcher,
    pub writer: Writer,
    pub events: Events,
    pub memories: Arc<Memories>,
    pub kinds: Arc<KnownKinds>,
    /// What is so of the cluster and of the operator itself, whatever the resource.
    pub facts: Facts,
}

/// What was seen and decided in one look.
struct Look {
    findings: Vec<Finding>,
    desired: Option<Desired>,
    observed: Observed,
    live: Live,
    plan: Plan,
}

impl Reconciler {
    /// Says when to look again.
    pub async fn reconcile(&self, key: &Key, object: &DynamicObject) -> Result<Duration, ReconcileError> {
        let value = serde_json::to_value(object).map_err(ReconcileError::Unclear)?;
        let of: PresenceCluster = serde_json::from_value(value).map_err(ReconcileError::Unclear)?;
        let mut memory = self.memories.take(key, of.meta().uid.as_deref().unwrap_or_default());
        let done = self.line(key, &of, &mut memory).await;
        self.memories.keep(key.clone(), memory);
        done
    }

    async fn line(
        &self,
        key: &Key,
        of: &PresenceCluster,
        memory: &mut Memory,
    ) -> Result<Duration, ReconcileError> {
        let mut secrets = self.fetcher.secrets(of, memory).await?;
        let made = match secrets.kept {
            Kept::Absent | Kept::Damaged(_) if may_change(of) => {
                self.rotate(of, &secrets, false, memory).await
            }
            _ => Ok(false),
        };
        if matches!(made, Ok(true)) {
            secrets = self.fetcher.secrets(of, memory).await?;
        }
        let look = self.see(key, of, &secrets, memory).await?;
        if look.findings.iter().any(|finding| finding.reason == Reason::KindNotFound) {
            self.kinds.missed();
        }
        let applied = match made {
            Ok(_) => self.apply(key, of, &look, memory).await,
            Err(error) => Err(error),
        };
        if applied.as_ref().is_err_and(WriteError::is_of_no_such_kind) {
            self.kinds.missed();
        }
        let refused = applied.as_ref().err().and_then(WriteError::refusal);
        self.tell(of, &look, refused.as_deref(), memory).await?;
        applied?;
        if look.plan.stage == Stage::Settled
            && may_change(of)
            && self.rotate(of, &secrets, true, memory).await?
        {
            return Ok(ROTATING);
        }
        Ok(again(&look.plan, &look.observed, memory.awaits()))
    }

    /// Fetch, validate, desired, plan.
    async fn see(
        &self,
        key: &Key,
        of: &PresenceCluster,
        secrets: &Secrets,
        memory: &mut Memory,
    ) -> Result<Look, ReconcileError> {
        let kinds = self.kinds.get();
        let mut findings = findings(of, &secrets.references, kinds);
        if secrets.kept == Kept::Theirs {
            findings.extend(taken(&[internal_reference(of)]));
        }
        let wanted = wanted(of);
        let facts = Facts {
            secrets: secrets.references.fingerprints(&wanted),
            internal_secret: secrets.shared.as_ref().map(Shared::fingerprint),
            ports: secrets.references.ports(&wanted),
            kinds,
            ..self.facts.clone()
        };
        let desired = desired::objects(of, &facts).map_err(|why| findings.push(unservable(&why))).ok();
        let live = self.fetcher.live(key, memory);
        let mut observed = self.fetcher.observed(of, &live, secrets).await?;
        memory.bridge(&mut observed.pods);
        // Where something blocks already nothing is going to be made; and of a kind that the API server does not know, nobody can ask
        // it for a name.
        if let Some(desired) = desired.as_ref().filter(|_| may_change(of) && !blocks(&findings)) {
            observed.taken = self.fetcher.taken(of, desired, &live, &mut memory.free).await?;
        }
        let desired = desired.filter(|_| !blocks(&findings));
        let plan = plan(of, desired.as_ref(), &observed, Timestamp::now());
        Ok(Look { findings, desired, observed, live, plan })
    }

    /// In the plan's order. A failure ends it; after a refusal, which may stay until somebody acts, what stands beside the
    /// pods is still applied.
    async fn apply(
        &self,
        key: &Key,
        of: &PresenceCluster,
        look: &Look,
        memory: &mut Memory,
    ) -> Result<(), WriteError> {
        let mut refused = None;
        for action in &look.plan.actions {
            if refused.is_some() && !stands_beside(action) {
                break;
            }
            match self.act(key, of, (look, action), memory).await {
                Ok(()) => {}
                Err(error @ WriteError::Refused { .. }) => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    async fn act(
        &self,
        key: &Key,
        of: &PresenceCluster,
        (look, action): (&Look, &Action),
        memory: &mut Memory,
    ) -> Result<(), WriteError> {
        let (namespace, uid) = (key.namespace.as_str(), of.meta().uid.as_deref().unwrap_or_default());
        match action {
            Action::Apply(object) => {
                let live = look.live.get(&object.reference()).map(|live| &**live);
                if self.writer.apply((namespace, uid), object, live, memory).await? {
                    tracing::info!(namespace, kind = object.resource.kind, name = object.name, "applied");
                }
            }
            Action::Scale { deployment, replicas } => {
                let live = self.fetcher.live(key, memory);
                let found =
                    live.iter().find(|(name, _)| name.kind == "Deployment" && name.name == *deployment);
                let Some((_, live)) = found else { return Ok(()) };
                self.writer.scale(namespace, live, *replicas, memory).await?;
            }
            Action::Delete { object, uid } => {
                self.delete(namespace, (object, uid.as_deref()), look, memory).await?;
            }
            Action::SetFinalizer(wanted) => drop(self.writer.finalizer(of, *wanted).await?),
        }
        Ok(())
    }

    /// Only what was seen to be ours has a uid that we know.
    async fn delete(
        &self,
        namespace: &str,
        (object, uid): (&ObjectRef, Option<&str>),
        look: &Look,
        memory: &mut Memory,
    ) -> Result<(), WriteError> {
        let Some(live) = look.live.get(object) else { return Ok(()) };
        let Some(uid) = uid.or(live.metadata.uid.as_deref()) else { return Ok(()) };
        let Some(resource) = self.kinds.resource(object) else { return Ok(()) };
        self.writer.delete(namespace, &resource, (object, uid), memory).await?;
        Ok(())
    }

    /// Writes the status where it differs, and Events where reasons do.
    async fn tell(
        &self,
        of: &PresenceCluster,
        look: &Look,
        refused: Option<&str>,
        memory: &mut Memory,
    ) -> Result<(), WriteError> {
        let view = View {
            desired: look.desired.as_ref(),
            findings: &look.findings,
            plan: &look.plan,
            observed: &look.observed,
            refused,
        };
        let new = status(of, view, Timestamp::now());
        memory.ready = is_ready(&new);
        let former = of.status.as_ref();
        if former == Some(&new) {
            return Ok(());
        }
        let recently = memory.status_written.is_some_and(|at| at.elapsed() < AGENTS);
        if recently && former.is_some_and(|former| without_agents(former) == without_agents(&new)) {
            return Ok(());
        }
        self.writer.status(of, &new).await?;
        memory.status_written = Some(tokio::time::Instant::now());
        self.events.tell(of, &changes(former, &new)).await;
        Ok(())
    }

    /// Makes the shared secret, mends it, or takes the next step of its rotation. Whether anything was written.
    async fn rotate(
        &self,
        of: &PresenceCluster,
        secrets: &Secrets,
        settled: bool,
        memory: &mut Memory,
    ) -> Result<bool, WriteError> {
        let wish = of.annotations().get(ROTATE).map(String::as_str);
        let (saved, version) = match &secrets.kept {
            Kept::Theirs => return Ok(false),
            Kept::Damaged(version) => (secrets.shared.clone(), version.clone()),
            Kept::Whole(version) => (None, version.clone()),
            Kept::Absent => (None, None),
        };
        let is_damaged = saved.is_some();
        let next = saved.or_else(|| rotate::next(secrets.shared.as_ref(), wish, settled, fresh));
        let Some(next) = next else { return Ok(false) };
        let secret = internal(of, &next, version);
        // Whatever comes of it, what is there is read anew.
        memory.secrets = None;
        self.writer.secret(&of.namespace().unwrap_or_default(), &secret).await?;
        let (namespace, name) = (of.namespace(), secret.metadata.name);
        if is_damaged {
            tracing::warn!(namespace, name, "the shared secret was damaged, and is mended");
        } else {
            tracing::info!(namespace, name, "the shared secret was written");
        }
        Ok(true)
    }
}

/// Servers have agents, which come and go unheard. The pod of a migration has none, and stays there when it has ended.
fn again(plan: &Plan, observed: &Observed, awaits: bool) -> Duration {
    let soonest = match (awaits, observed.servers().next()) {
        (true, _) => WRITTEN,
        (false, Some(_)) => AGENTS,
        (false, None) => return plan.again,
    };
    plan.again.min(soonest)
}

/// Whether pods do without it.
fn stands_beside(action: &Action) -> bool {
    let Action::Apply(object) = action else { return false };
    !matches!(object.resource.kind.as_str(), "ConfigMap" | "Job" | "Deployment")
}

/// Nothing is made for one that is paused or on its way out.
fn may_change(of: &PresenceCluster) -> bool {
    !of.spec.paused && of.metadata.deletion_timestamp.is_none()
}

fn internal(of: &PresenceCluster, shared: &Shared, version: Option<String>) -> Secret {
    let mut secret =
        Secret { data: Some(shared.data()), type_: Some("Opaque".to_owned()), ..Secret::default() };
    let labels = names::labels(&of.name_any());
    secret.metadata.name = Some(names::internal_secret(&of.name_any()));
    secret.metadata.namespace = of.namespace();
    secret.metadata.labels = Some(labels);
    secret.metadata.annotations = Some(shared.annotations());
    secret.metadata.owner_references = of.controller_owner_ref(&()).map(|owner| vec![owner]);
    secret.metadata.resource_version = version;
    secret
}

fn internal_reference(of: &PresenceCluster) -> ObjectRef {
    let name = names::internal_secret(&of.name_any());
    ObjectRef { api_version: "v1".to_owned(), kind: "Secret".to_owned(), name }
}

/// 256 random bits, in hex.
fn fresh() -> Word {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    let text = bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Word::new(text).expect("64 hex digits are a word")
}

fn is_ready(status: &PresenceClusterStatus) -> bool {
    let ready = format!("{:?}", ConditionType::Ready);
    status.conditions.iter().any(|condition| condition.type_ == ready && condition.status == "True")
}

/// What is worth a write at once.
fn without_agents(status: &PresenceClusterStatus) -> PresenceClusterStatus {
    let mut status = status.clone();
    status.agents = 0;
    status.pods.iter_mut().for_each(|pod| pod.agents = None);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{COMPONENT_LABEL, MIGRATION, SERVER, SeenPod};

    fn observed(component: &str, phase: &str) -> Observed {
        let pod = serde_json::json!({
            "metadata": { "labels": { COMPONENT_LABEL: component } }, "status": { "phase": phase },
        });
        let pod = SeenPod { pod: serde_json::from_value(pod).unwrap(), stats: None };
        Observed { pods: vec![pod], ..Observed::default() }
    }

    #[test]
    fn only_where_agents_may_be_is_looked_at_often() {
        let rest = Duration::from_mins(5);
        let plan = Plan { stage: Stage::Settled, actions: Vec::new(), again: rest };
        assert_eq!(again(&plan, &Observed::default(), false), rest);
        assert_eq!(again(&plan, &observed(MIGRATION, "Succeeded"), false), rest, "it stays there for good");
        assert_eq!(again(&plan, &observed(SERVER, "Running"), false), AGENTS);
        assert_eq!(again(&plan, &observed(SERVER, "Running"), true), WRITTEN);
        assert_eq!(again(&plan, &Observed::default(), true), WRITTEN);
        let sooner = Plan { again: ROTATING, ..plan };
        assert_eq!(again(&sooner, &observed(SERVER, "Running"), true), ROTATING);
    }
}
