//! The closed lists of conditions and their reasons. Each reason has an entry in docs/OPERATIONS.md: a test sees to it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An enum whose variants are all in `ALL`, and print as their names.
macro_rules! closed_list {
    ($(#[$of_list:meta])* $name:ident { $($(#[$of_variant:meta])* $variant:ident,)+ }) => {
        $(#[$of_list])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$of_variant])* $variant,)+
        }

        impl $name {
            pub const ALL: [Self; [$(stringify!($variant)),+].len()] = [$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

closed_list! {
    /// What is said of a `PresenceCluster`.
    ConditionType {
        /// As many pods of the current revision serve as are asked for.
        Ready,
        /// Something is being brought up or taken down.
        Progressing,
        /// A pod lets go of its agents.
        Draining,
        /// Agents are being moved between pods.
        Rebalancing,
        /// Something is wrong that will not mend itself, or has not for too long.
        Degraded,
        /// The operator changes nothing.
        Paused,
        /// The database has the schema of the current revision.
        MigrationsApplied,
        /// A pod has the time to let go of all the agents it has.
        GracePeriodSufficient,
    }
}

closed_list! {
    /// Why a condition is as it is.
    Reason {
        // --- as it should be
        /// As many pods serve as are asked for.
        AllServing,
        /// Nothing is under way.
        Settled,
        /// No pod lets go of agents.
        NoneDraining,
        /// Rebalancing is not asked for.
        NotRebalancing,
        /// Nothing is wrong.
        AsExpected,
        /// The operator acts.
        Active,
        /// The migration Job ended well.
        Applied,
        /// Each pod can let go of all its agents in time.
        LongEnough,
        // --- under way
        /// No pods are asked for.
        ScaledToZero,
        /// Pods are being started or are not ready yet.
        PodsStarting,
        /// A new revision is being brought up.
        RevisionStarting,
        /// The old revision is being taken down, pod by pod.
        RevisionReplacing,
        /// There are more pods than asked for, and one after the other goes.
        ScalingIn,
        /// A pod lets go of its agents.
        PodsDraining,
        /// The migration Job runs.
        Migrating,
        /// The resource is being deleted, and its pods let go of their agents first.
        Deleting,
        /// `spec.paused` is set.
        PausedBySpec,
        /// You bring the schema up to date: `database.migrate` is `Manual`.
        MigratedManually,
        /// Not looked at yet.
        Pending,
        // --- wrong
        /// A Secret that the spec names is not there.
        SecretNotFound,
        /// A Secret that the spec names has no such key.
        SecretKeyNotFound,
        /// A Secret holds what cannot be used: not a URL, say.
        SecretInvalid,
        /// The spec cannot be served, though the schema admits it.
        SpecInvalid,
        /// The spec needs a kind that this cluster does not know.
        KindNotFound,
        /// An object with a name that we need belongs to somebody else.
        NameTaken,
        /// The migration Job failed.
        MigrationFailed,
        /// Pods fail to start.
        PodsFailing,
        /// The image cannot be had.
        ImagePullFailed,
        /// Pods find no node.
        PodsUnschedulable,
        /// Pods have no connection to NATS.
        BusAway,
        /// A new revision is not ready within `rollout.progressDeadline`.
        ProgressDeadlineExceeded,
        /// A pod does not tell how many agents it has.
        PodsUnknown,
        /// Letting go of all agents of a pod would take longer than `drain.deadline`.
        DeadlineTooShort,
        /// The API server refuses what the operator asks.
        Refused,
    }
}
