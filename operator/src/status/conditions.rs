//! Each condition's verdict.

use jiff::SignedDuration;
use kube::ResourceExt as _;

use super::{Scene, Verdict, faults};
use crate::crd::{ConditionType, Migrate, PodPhase, Reason};
use crate::plan::{self, Run, Stage};

/// What is wrong is told in full as far as anybody reads it.
const SHOWN: usize = 3;

impl Scene<'_> {
    pub(super) fn verdict(&self, type_: ConditionType) -> Verdict {
        match type_ {
            ConditionType::Ready => self.ready(),
            ConditionType::Progressing => self.progressing(),
            ConditionType::Draining => self.draining(),
            ConditionType::Rebalancing => {
                Verdict::new("False", Reason::NotRebalancing, "agents are not moved between pods")
            }
            ConditionType::Degraded => self.degraded(),
            ConditionType::Paused if self.of.spec.paused => Verdict::new(
                "True",
                Reason::PausedBySpec,
                "the operator changes nothing: set spec.paused to false to go on",
            ),
            ConditionType::Paused => Verdict::new("False", Reason::Active, "the operator acts"),
            ConditionType::MigrationsApplied => self.migrations(),
            ConditionType::GracePeriodSufficient => self.grace(),
        }
    }

    fn ready(&self) -> Verdict {
        let asked = self.of.spec.replicas;
        let (serving, others) = self.serving();
        let revision = self.revision.as_deref().unwrap_or("none");
        let so_far = format!("{serving} of {asked} pods of revision {revision} serve");
        let stage = self.stage();
        if stage == Stage::Deleting {
            return Verdict::new("False", Reason::Deleting, "the resource is being deleted");
        }
        if asked == 0 && stage != Stage::Blocked {
            let message = "no pods are asked for: raise spec.replicas to serve";
            return Verdict::new("True", Reason::ScaledToZero, message);
        }
        if serving >= asked && self.revision.is_some() {
            return Verdict::new(
                "True",
                Reason::AllServing,
                format!("{asked} pods of revision {revision} serve"),
            );
        }
        match (stage, self.findings.first()) {
            (Stage::Blocked, Some(finding)) if serving == 0 => Verdict::new("False", finding.reason, so_far),
            (Stage::Blocked, None) => {
                Verdict::new("False", Reason::Pending, "the spec has not been looked at yet")
            }
            (Stage::Paused, _) if serving == 0 => Verdict::new("False", Reason::PausedBySpec, so_far),
            (Stage::Migrating | Stage::MigrationFailed, _) => {
                let reason =
                    if self.migration_failed() { Reason::MigrationFailed } else { Reason::Migrating };
                Verdict::new("False", reason, so_far)
            }
            _ if others > 0 => Verdict::new(
                "False",
                Reason::RevisionStarting,
                format!("{so_far}, former revisions serve meanwhile"),
            ),
            _ => Verdict::new("False", Reason::PodsStarting, so_far),
        }
    }

    fn progressing(&self) -> Verdict {
        let (_, others) = self.serving();
        match self.stage() {
            Stage::Blocked => {
                let (reason, message) = self.findings.first().map_or(
                    (Reason::Pending, "the spec has not been looked at yet".to_owned()),
                    |finding| {
                        (
                            finding.reason,
                            format!("nothing is changed until this is mended: {}", finding.message),
                        )
                    },
                );
                Verdict::new("False", reason, message)
            }
            Stage::Paused => Verdict::new("False", Reason::PausedBySpec, "the operator changes nothing"),
            Stage::Migrating | Stage::MigrationFailed if self.migration_failed() => Verdict::new(
                "False",
                Reason::MigrationFailed,
                "the migration Job failed and is tried anew from time to time",
            ),
            Stage::Migrating | Stage::MigrationFailed => {
                Verdict::new("True", Reason::Migrating, "the schema is being brought up to date")
            }
            Stage::Starting if self.is_late() => Verdict::new(
                "False",
                Reason::ProgressDeadlineExceeded,
                "pods are not ready in time; they are waited for",
            ),
            Stage::Starting if others > 0 => {
                Verdict::new("True", Reason::RevisionStarting, "a new revision is being brought up")
            }
            Stage::Starting => Verdict::new("True", Reason::PodsStarting, "pods are being started"),
            Stage::Replacing => Verdict::new(
                "True",
                Reason::RevisionReplacing,
                "pods of former revisions go, one after the other",
            ),
            Stage::ScalingIn => {
                Verdict::new("True", Reason::ScalingIn, "pods too many go, one after the other")
            }
            Stage::Settled => Verdict::new("False", Reason::Settled, "all is as the spec says"),
            Stage::Deleting => {
                Verdict::new("True", Reason::Deleting, "pods let go of their agents, then the resource goes")
            }
        }
    }

    fn draining(&self) -> Verdict {
        if self.pods.iter().any(|pod| pod.phase == PodPhase::Draining) {
            let message = "a pod tells its agents to connect elsewhere: see status.pods";
            return Verdict::new("True", Reason::PodsDraining, message);
        }
        Verdict::new("False", Reason::NoneDraining, "no pod lets go of its agents")
    }

    fn degraded(&self) -> Verdict {
        let mut wrong = Vec::new();
        wrong.extend(self.view.refused.map(|refused| {
            let said = super::words::line(refused, 512);
            (Reason::Refused, format!("the API server refuses what the operator asks: {said}"))
        }));
        wrong.extend(self.findings.iter().map(|finding| (finding.reason, finding.message.clone())));
        if self.migration_failed() {
            wrong.push((Reason::MigrationFailed, self.migration_failure()));
        }
        wrong.extend(faults::of_pods(self.view.observed, self.now));
        if self.is_late() {
            let message = format!(
                "revision {} is not ready after {}: see its pods; former revisions serve on",
                self.revision.as_deref().unwrap_or("none"),
                self.of.spec.rollout.progress_deadline
            );
            wrong.push((Reason::ProgressDeadlineExceeded, message));
        }
        let Some((reason, _)) = wrong.first() else {
            return Verdict::new("False", Reason::AsExpected, "nothing is wrong");
        };
        let mut message =
            wrong.iter().take(SHOWN).map(|(_, message)| message.as_str()).collect::<Vec<_>>().join("; ");
        if wrong.len() > SHOWN {
            message += "; and more";
        }
        Verdict::new("True", *reason, message)
    }

    fn migrations(&self) -> Verdict {
        if self.of.spec.database.migrate == Migrate::Manual {
            // Pods refuse to serve on a schema that is behind.
            let status = if self.serving().0 > 0 { "True" } else { "Unknown" };
            let message = "you bring the schema up to date: run `presence migrate` before a new image";
            return Verdict::new(status, Reason::MigratedManually, message);
        }
        if self.migration_failed() {
            return Verdict::new("False", Reason::MigrationFailed, self.migration_failure());
        }
        match self.migration() {
            Some(Run::Succeeded) => {
                Verdict::new("True", Reason::Applied, "the schema is that of the wanted revision")
            }
            Some(_) => Verdict::new("False", Reason::Migrating, "the migration Job runs"),
            None if self.stage() == Stage::Migrating => {
                Verdict::new("False", Reason::Migrating, "the migration Job is being made")
            }
            // Nothing is known anew: the Job is gone since, or nothing may be changed.
            None => match self.former(ConditionType::MigrationsApplied).filter(|it| it.status == "True") {
                Some(_) => Verdict::new("True", Reason::Applied, "the schema is that of the wanted revision"),
                None => Verdict::new("Unknown", Reason::Pending, "no migration Job has been made yet"),
            },
        }
    }

    /// How the Job of the wanted revision goes.
    fn migration(&self) -> Option<Run> {
        let wanted = self.view.desired?.migration.as_ref()?;
        let mut jobs = self.view.observed.jobs.iter();
        jobs.find(|job| job.name_any() == wanted.name && job.metadata.deletion_timestamp.is_none())
            .map(plan::run)
    }

    /// It did, and nothing better is known since: while it is tried anew, it is still said.
    fn migration_failed(&self) -> bool {
        if self.of.spec.database.migrate == Migrate::Manual {
            return false;
        }
        match self.migration() {
            Some(Run::Failed(_)) => true,
            Some(Run::Succeeded) => false,
            Some(Run::Running) | None => {
                let former = self.of.status.as_ref().and_then(|status| status.revision.as_ref());
                let condition = self.former(ConditionType::MigrationsApplied);
                former == self.revision.as_ref()
                    && condition.is_some_and(|it| it.reason == format!("{:?}", Reason::MigrationFailed))
            }
        }
    }

    fn migration_failure(&self) -> String {
        let pods = self.view.observed.pods.iter();
        let of_wanted = |revision: &str| self.revision.as_deref() == Some(revision);
        let failed = pods.filter(|pod| pod.is(crate::observed::MIGRATION) && of_wanted(pod.revision()));
        let ends =
            failed.flat_map(|pod| pod.containers().filter_map(|it| it.state.as_ref()?.terminated.as_ref()));
        let last = ends.filter(|end| end.exit_code != 0).max_by_key(|end| end.finished_at.clone());
        match (last, self.former(ConditionType::MigrationsApplied)) {
            (Some(end), _) => {
                format!("the migration Job failed, and is tried anew from time to time: {}", faults::end(end))
            }
            // Its pods went with it.
            (None, Some(former)) if former.reason == format!("{:?}", Reason::MigrationFailed) => {
                former.message.clone()
            }
            (None, _) => {
                "the migration Job failed, and is tried anew from time to time: see its log".to_owned()
            }
        }
    }

    /// The wanted revision has been there for longer than it may take, and has not been ready for as long.
    fn is_late(&self) -> bool {
        let Some(desired) = self.view.desired.filter(|_| self.stage() == Stage::Starting) else {
            return false;
        };
        let deployments = &self.view.observed.deployments;
        let made = deployments.iter().find(|it| it.name_any() == desired.deployment.name);
        let made = made.and_then(kube::ResourceExt::creation_timestamp);
        let unready = plan::since(self.of, ConditionType::Ready, "False");
        let (Some(made), Some(unready)) = (made, unready) else { return false };
        let limit = self.of.spec.rollout.progress_deadline.as_millis();
        let passed = self.now.duration_since(made.0.max(unready));
        passed > SignedDuration::from_millis(i64::try_from(limit).unwrap_or(i64::MAX))
    }
}
