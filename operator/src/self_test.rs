//! `presence-operator self-test`, which `helm test` runs as the operator's own account: does the API server answer, does it
//! know `PresenceCluster`s, does an operator hold the lease, and may the operator do all it has to?
//!
//! It writes nothing but access reviews, which are kept nowhere. What the operator has to be allowed is `rights.json`: the
//! chart makes its Roles of a copy.

use std::fmt;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use tokio::time::{Instant, sleep, timeout};

use crate::cli::{Failure, SelfTest};
use crate::rights::{Question, Scope, rights};

/// The oldest API server that is supported: 1.34.
const OLDEST: u32 = 34;
/// Questions under way at a time.
const AT_A_TIME: usize = 8;
/// One request, at most: an API server that does not answer is to be told of, not waited for.
const REQUEST: Duration = Duration::from_secs(10);
/// Missing rights that are listed. Of more, their number is said.
const LISTED: usize = 20;

/// What is tested.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Where rights are asked for.
    pub scope: Scope,
    /// How long an operator that has just been installed may take to hold the lease.
    pub patience: Duration,
}

/// One line of the answer: what was looked at, and what was found, good or bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub what: &'static str,
    pub found: Result<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub Vec<Check>);

impl Report {
    pub fn passed(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|check| check.found.is_ok())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { what, found } in &self.0 {
            let (mark, text) = match found {
                Ok(text) => ("ok    ", text),
                Err(text) => ("FAILED", text),
            };
            writeln!(f, "{mark}  {what}: {text}")?;
        }
        Ok(())
    }
}

/// As whoever runs this: in a pod, as its service account.
pub async fn of_this_pod(wish: SelfTest) -> Result<Report, Failure> {
    let unusable = "it is not known how to reach the API server";
    let mut config = Config::infer().await.map_err(|error| Failure::settings(unusable, error))?;
    config.connect_timeout = Some(REQUEST);
    let own_namespace = wish.run.lease_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).map_err(|error| Failure::settings(unusable, error))?;
    let scope = Scope {
        namespaces: wish.run.scopes().into_iter().flatten().collect(),
        own_namespace,
        lease: wish.run.lease_name,
        presence_clusters: wish.presence_clusters,
        secret_names: wish.secret_names,
    };
    Ok(run(&client, &Subject { scope, patience: Duration::from_secs(wish.patience.into()) }).await)
}

/// Looks at all of it, whatever comes out before: one run is to tell all that is wrong.
pub async fn run(client: &Client, subject: &Subject) -> Report {
    Report(vec![
        Check { what: "the API server", found: api_server(client).await },
        Check { what: "the resource PresenceCluster", found: resource(client).await },
        Check { what: "the operator", found: lease(client, subject).await },
        Check { what: "its rights", found: all_rights(client, &subject.scope).await },
    ])
}

/// With a time limit, and the error as a person may read it.
async fn bounded<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match timeout(REQUEST, request).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", REQUEST.as_secs())),
    }
}

async fn api_server(client: &Client) -> Result<String, String> {
    let version = bounded(client.apiserver_version()).await?;
    let release = format!("{} {}.{}", version.git_version, version.major, version.minor);
    if is_new_enough(&version.major, &version.minor) {
        return Ok(format!("Kubernetes {release}"));
    }
    Err(format!("Kubernetes {release} is too old: 1.{OLDEST} is the oldest that is supported"))
}

/// Some providers say `34+`.
fn is_new_enough(major: &str, minor: &str) -> bool {
    let number =
        |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().unwrap_or(0);
    (number(major), number(minor)) >= (1, OLDEST)
}

async fn resource(client: &Client) -> Result<String, String> {
    let known = bounded(client.list_api_group_resources("presence.rs/v1alpha1")).await.map_err(|error| {
        format!(
            "not known ({error}); install the chart's CRDs: crds.install=true, in one release of the cluster"
        )
    })?;
    let names: Vec<&str> = known.resources.iter().map(|resource| resource.name.as_str()).collect();
    let wanted = ["presenceclusters", "presenceclusters/status", "presenceclusters/scale"];
    match wanted.iter().find(|name| !names.contains(name)) {
        None => Ok("presence.rs/v1alpha1, with its status and scale".to_owned()),
        Some(missing) => Err(format!("{missing} is missing: the CRD is not this release's")),
    }
}

async fn lease(client: &Client, subject: &Subject) -> Result<String, String> {
    let (namespace, name) = (&subject.scope.own_namespace, &subject.scope.lease);
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let deadline = Instant::now() + subject.patience;
    loop {
        let found = bounded(leases.get_opt(name)).await?;
        match holder(found.as_ref(), Timestamp::now()) {
            Some(holder) => return Ok(format!("{holder} acts")),
            None if Instant::now() >= deadline => {
                return Err(format!(
                    "nobody holds the lease {namespace}/{name}: look at the operator's pods and their logs"
                ));
            }
            None => sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Who holds a lease that has not lapsed.
fn holder(lease: Option<&Lease>, now: Timestamp) -> Option<String> {
    let spec = lease?.spec.as_ref()?;
    let holder = spec.holder_identity.as_ref().filter(|holder| !holder.is_empty())?;
    let lasts = SignedDuration::from_secs(i64::from(spec.lease_duration_seconds?));
    let ends = spec.renew_time.as_ref()?.0.checked_add(lasts).ok()?;
    (ends >= now).then(|| holder.clone())
}

async fn all_rights(client: &Client, scope: &Scope) -> Result<String, String> {
    let questions = rights().questions(scope);
    let asked = questions.len();
    let answers: Vec<Result<Option<String>, String>> =
        stream::iter(questions.into_iter().map(|question| missing(client, question)))
            .buffered(AT_A_TIME)
            .collect()
            .await;
    let lacking: Vec<String> =
        answers.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    if lacking.is_empty() {
        return Ok(format!("all {asked} are granted"));
    }
    let mut lines: Vec<String> = lacking.iter().take(LISTED).cloned().collect();
    if lacking.len() > LISTED {
        lines.push(format!("and {} more", lacking.len() - LISTED));
    }
    let listed = lines.join("\n          ");
    Err(format!("{} of {asked} are not granted:\n          {listed}", lacking.len()))
}

/// The question, where the answer is no.
async fn missing(client: &Client, question: Question) -> Result<Option<String>, String> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes(&question)),
            ..Default::default()
        },
        ..Default::default()
    };
    let answer = bounded(reviews.create(&PostParams::default(), &review)).await?;
    let allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!allowed).then(|| question.to_string()))
}

fn attributes(question: &Question) -> ResourceAttributes {
    ResourceAttributes {
        group: Some(question.group.clone()),
        resource: Some(question.resource.clone()),
        subresource: question.subresource.clone(),
        verb: Some(question.verb.clone()),
        namespace: question.namespace.clone(),
        name: question.name.clone(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    #[test]
    fn releases_before_the_oldest_are_refused() {
        assert!(is_new_enough("1", "34"));
        assert!(is_new_enough("1", "35+"));
        assert!(is_new_enough("2", "0"));
        assert!(!is_new_enough("1", "33+"));
        assert!(!is_new_enough("", ""));
    }

    #[test]
    fn a_lease_is_held_until_it_lapses() {
        let now: Timestamp = "2026-01-01T00:00:20Z".parse().unwrap();
        let lease = |holder: Option<&str>, renewed: &str| Lease {
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                lease_duration_seconds: Some(15),
                renew_time: Some(MicroTime(renewed.parse().unwrap())),
                ..Default::default()
            }),
            ..Default::default()
        };
        let held = |lease: &Lease| holder(Some(lease), now);
        assert_eq!(held(&lease(Some("a"), "2026-01-01T00:00:10Z")), Some("a".to_owned()));
        assert_eq!(held(&lease(Some("a"), "2026-01-01T00:00:01Z")), None);
        assert_eq!(held(&lease(Some(""), "2026-01-01T00:00:10Z")), None);
        assert_eq!(held(&lease(None, "2026-01-01T00:00:10Z")), None);
        assert_eq!(holder(Some(&Lease::default()), now), None);
        assert_eq!(holder(None, now), None);
    }

    #[test]
    fn a_report_passes_only_if_every_check_does() {
        let good = Check { what: "a", found: Ok("fine".to_owned()) };
        let bad = Check { what: "b", found: Err("not".to_owned()) };
        assert!(Report(vec![good.clone()]).passed());
        let report = Report(vec![good, bad]);
        assert!(!report.passed());
        assert_eq!(report.to_string(), "ok      a: fine\nFAILED  b: not\n");
        assert!(!Report(Vec::new()).passed());
    }
}
