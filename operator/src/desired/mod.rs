//! The objects that ought to be, from the spec and the [`Facts`] alone. Pure: the same spec and facts give the same bytes.
//! A file for each kind of object.

mod access;
mod canonical;
mod checks;
mod destinations;
mod life;
mod migration;
mod monitoring;
mod mounts;
pub mod names;
mod place;
mod policy;
mod quantity;
mod render;
mod route;
mod scaling;
mod security;
mod settings;
mod template;
mod unservable;
mod workload;
mod yaml;

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

pub use render::{RenderError, render, render_file};
pub use unservable::Unservable;

use crate::{
    crd::{Migrate, PresenceCluster},
    facts::Facts,
    object::Object,
};
use names::Owner;
use settings::Configuration;

/// The name of a pod template with its settings: 10 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub String);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that ought to be of one `PresenceCluster`, but for how many pods each Deployment has: that is the plan's; and but for
/// the Secret [`names::internal_secret`], which is random.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    pub revision: Revision,
    /// What no revision changes the name of, in the order in which it is applied: ServiceAccount, NetworkPolicies, Services,
    /// PodDisruptionBudget, Ingress or HTTPRoute, PodMonitor, HorizontalPodAutoscaler.
    pub base: Vec<Object>,
    /// The settings of this revision.
    pub config: Object,
    /// The Job that brings the schema up to date for this revision, where the operator is to do so.
    pub migration: Option<Object>,
    /// The Deployment of this revision, without `replicas`.
    pub deployment: Object,
}

/// What ought to be, or why the spec cannot be served.
pub fn objects(of: &PresenceCluster, facts: &Facts) -> Result<Desired, Unservable> {
    let owner = Owner::new(of)?;
    checks::check(&of.spec)?;
    let configuration = settings::configuration(owner, facts.family);
    let revision = revision(owner, facts, &configuration)?;
    let template = template::template(owner, facts, &configuration, &revision)?;
    let is_migrated = of.spec.database.migrate == Migrate::Auto;
    Ok(Desired {
        base: base(owner, facts, &revision),
        config: Object::new(&workload::config(owner, configuration.text, &revision)),
        migration: is_migrated.then(|| Object::new(&migration::job(owner, &revision))),
        deployment: Object::new(&workload::deployment(owner, template, &revision)),
        revision,
    })
}

/// Of the template, as it is without a revision, and its settings.
fn revision(owner: Owner<'_>, facts: &Facts, configuration: &Configuration) -> Result<Revision, Unservable> {
    let nameless = template::template(owner, facts, configuration, &Revision(String::new()))?;
    let template = serde_json::to_value(nameless).expect("a template is JSON");
    let text = format!("{}---\n{}", yaml::document(&template), configuration.text);
    Ok(Revision(hex(&Sha256::digest(text)[..5])))
}

fn base(owner: Owner<'_>, facts: &Facts, revision: &Revision) -> Vec<Object> {
    let spec = &owner.of.spec;
    let mut base = vec![Object::new(&access::account(owner))];
    base.extend(policy::policies(owner, facts, revision).iter().map(Object::new));
    base.extend([access::public(owner), access::pods(owner)].iter().map(Object::new));
    let budget = &spec.disruption_budget;
    base.extend(budget.enabled.then(|| Object::new(&scaling::budget(owner, budget.max_unavailable))));
    base.extend(route::routes(owner));
    let is_monitored = spec.monitoring.pod_monitor && facts.kinds.pod_monitor;
    base.extend(is_monitored.then(|| monitoring::pod_monitor(owner)));
    base.extend(spec.autoscaling.as_ref().map(|of| Object::new(&scaling::autoscaler(owner, of))));
    base
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
