//! Kubernetes Events: one for each change of a condition's reason, and for nothing else.
//!
//! Calls: `create` of events.k8s.io/v1 Events in the resource's namespace. None is counted together with a former one: it would
//! keep the former one's words, and name the wrong Secret.

use std::time::Duration;

use kube::{
    Client, Resource as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::time::timeout;

use crate::{crd::PresenceCluster, status::Transition, telemetry::chain};

/// One Event. One that cannot be written in this time is lost: the condition says the same.
const WRITE: Duration = Duration::from_secs(5);
/// What the API server takes as a note.
const LONGEST: usize = 1000;

#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter =
            Reporter { controller: "presence-operator".to_owned(), instance: Some(instance.to_owned()) };
        Self { client, reporter }
    }

    pub async fn tell(&self, of: &PresenceCluster, transitions: &[Transition]) {
        for transition in transitions {
            let event = event(transition);
            // A recorder counts what it has published itself; a new one has published nothing.
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            match timeout(WRITE, recorder.publish(&event, &of.object_ref(&()))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = %chain(&error), "an Event could not be written"),
                Err(_) => tracing::warn!("an Event could not be written: the API server does not answer"),
            }
        }
    }
}

fn event(transition: &Transition) -> Event {
    let mut note = transition.message.clone();
    if let Some((end, _)) = note.char_indices().nth(LONGEST) {
        note.truncate(end);
    }
    Event {
        type_: if transition.warning { EventType::Warning } else { EventType::Normal },
        reason: format!("{:?}", transition.reason),
        note: Some(note),
        action: format!("{:?}", transition.condition),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{ConditionType, Reason};

    #[test]
    fn an_event_names_the_condition_and_its_reason() {
        let transition = Transition {
            condition: ConditionType::Degraded,
            reason: Reason::SecretNotFound,
            message: "ä".repeat(LONGEST + 1),
            warning: true,
        };
        let event = event(&transition);
        assert_eq!((event.action.as_str(), event.reason.as_str()), ("Degraded", "SecretNotFound"));
        assert_eq!(event.type_, EventType::Warning);
        assert_eq!(event.note.unwrap().chars().count(), LONGEST);
    }
}
