//! The `PresenceCluster` resource: what a platform team writes, and what it reads back. Data and its schema, no logic:
//! a file for each part of the spec, one for the status, one for the closed list of reasons.

#![expect(clippy::duplicated_attributes, reason = "printer columns share types")]

pub mod auth;
pub mod backing;
pub mod doors;
mod foreign;
pub mod monitoring;
pub mod network;
mod patterns;
pub mod period;
pub mod reason;
mod rules;
pub mod status;
pub mod workload;
mod yaml;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use auth::{Auth, Authz, AuthzMode, Issuer};
pub use backing::{Analytics, Database, Migrate, Nats, Redis, SecretKey, Stream};
pub use doors::{Doors, Drain, Identity, NativeDoor, SocketIoDoor, Timings};
pub use monitoring::Monitoring;
pub use network::{Gateway, Ingress, NetworkPolicy, Route, Service, ServiceType};
pub use period::Period;
pub use reason::{ConditionType, Reason};
pub use status::{PodPhase, PodStatus, PresenceClusterStatus};
pub use workload::{Autoscaling, DisruptionBudget, Image, Pod, PullPolicy, Rollout, Spread};
pub use yaml::{definition, yaml};

/// A presence: who is in the classroom, now and afterwards.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "presence.rs",
    version = "v1alpha1",
    kind = "PresenceCluster",
    plural = "presenceclusters",
    singular = "presencecluster",
    shortname = "pc",
    shortname = "presence",
    namespaced,
    status = "PresenceClusterStatus",
    derive = "PartialEq",
    // NAME-migrate-REVISION is the value of a label, and a Service's name begins with a letter.
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must have at most 40 characters of a-z, 0-9 and -, begin with a letter and not end \
            with -: other names are made of it"),
    doc = "A presence: who is in the classroom, now and afterwards",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.serving",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Serving", type_ = "integer", json_path = ".status.serving"),
    printcolumn(name = "Draining", type_ = "integer", json_path = ".status.draining"),
    printcolumn(name = "Agents", type_ = "integer", json_path = ".status.agents"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rules::check(
        ".doors",
        "self.doors.native.enabled || (has(self.doors.socketio.enabled) ? self.doors.socketio.enabled : has(self.redis))",
        "no door is open: enable doors.native, or doors.socketio with redis",
    ),
    rules::check(
        ".doors.socketio.enabled",
        "!has(self.doors.socketio.enabled) || !self.doors.socketio.enabled || has(self.redis)",
        "needs redis, where pods share the state of lessons: give redis, or close this door",
    ),
    rules::check(
        ".pod.resources",
        "!has(self.autoscaling) || !has(self.pod.resources) \
            || (has(self.pod.resources.requests) && 'cpu' in self.pod.resources.requests) \
            || (has(self.pod.resources.limits) && 'cpu' in self.pod.resources.limits)",
        "must request cpu where there is autoscaling: how much of it is used is what is measured",
    ),
]))]
pub struct PresenceClusterSpec {
    /// How many pods serve. An autoscaler may own this through the scale subresource.
    #[serde(default = "replicas")]
    #[schemars(range(min = 0, max = 500))]
    pub replicas: i32,
    /// What the pods run. It is named here, and not by the operator, so that a new operator restarts no pod.
    pub image: Image,
    /// PostgreSQL: sessions, attendance, and the truth of who is present.
    pub database: Database,
    /// NATS with JetStream: events, and what pods ask of each other.
    pub nats: Nats,
    /// Redis: the lesson state of classroom apps. With it, the Socket.IO door is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
    /// Whose tokens are trusted, and what they admit.
    pub auth: Auth,
    /// Where agents come in.
    #[serde(default)]
    pub doors: Doors,
    /// How long things may take.
    #[serde(default)]
    pub timings: Timings,
    /// How a pod lets go of its agents before it ends.
    #[serde(default)]
    pub drain: Drain,
    /// How a changed spec reaches the pods.
    #[serde(default)]
    pub rollout: Rollout,
    /// A HorizontalPodAutoscaler of this resource. Without it there is none, and `replicas` is what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// The Service that agents connect to.
    #[serde(default)]
    pub service: Service,
    /// How agents reach the Service from outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// What a node drain may take at a time.
    #[serde(default)]
    pub disruption_budget: DisruptionBudget,
    /// Who may speak to the pods, and to whom they may.
    #[serde(default)]
    pub network_policy: NetworkPolicy,
    /// Metrics, logs and traces.
    #[serde(default)]
    pub monitoring: Monitoring,
    /// Mixpanel is told of reconnects and disconnects of classroom apps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics: Option<Analytics>,
    /// Resources, scheduling and annotations of the pods.
    #[serde(default)]
    pub pod: Pod,
    /// The operator looks, and changes nothing.
    #[serde(default)]
    pub paused: bool,
}

const fn replicas() -> i32 {
    3
}
