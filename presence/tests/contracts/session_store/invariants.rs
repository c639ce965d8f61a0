//! What holds of a store at any moment of rest, whatever was done to it: I1 to I4 and I7 of `docs/ARCHITECTURE.md`.

use super::stage::{HOUR, Stage};
use presence::ports::session_store::{Pending, Stay};
use presence_api::event::Operation;
use presence_core::ids::{AgentId, ClassroomId, SessionId};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// Checks everything that is known of a classroom whose events all still wait to be published.
pub(crate) async fn assert_hold(stage: &Stage, classroom: &ClassroomId) {
    let stays = stage.stays(classroom).await;
    let events = stage.waiting().await;
    assert_sessions_are_unique(&stays);
    let mut of_agent: BTreeMap<&AgentId, (Vec<&Stay>, Vec<&Pending>)> = BTreeMap::new();
    for stay in &stays {
        of_agent.entry(&stay.agent_id).or_default().0.push(stay);
    }
    for event in events.iter().filter(|event| event.key.classroom_id == *classroom) {
        of_agent.entry(&event.key.agent_id).or_default().1.push(event);
    }
    for (agent, (stays, events)) in of_agent {
        assert_stays_follow_each_other(agent, stays.clone());
        assert_events_alternate(agent, &stays, &events);
    }
    let total = stage.store.roster(classroom).await.unwrap().total;
    let live = stays.iter().filter(|stay| stay.left_at.is_none()).count();
    assert_eq!(total, live as u64);
    // And the store's own audit, whatever of it needs no time to settle.
    assert_eq!(stage.store.audit(Duration::from_mins(10), 10).await.unwrap(), []);
}

/// I7 alone, where a test wrote history by hand.
pub(crate) async fn assert_stays_are_disjoint(stage: &Stage, classroom: &ClassroomId) {
    let mut of_agent: BTreeMap<AgentId, Vec<Stay>> = BTreeMap::new();
    for stay in stage.stays(classroom).await {
        of_agent.entry(stay.agent_id.clone()).or_default().push(stay);
    }
    for (agent, stays) in of_agent {
        assert_stays_follow_each_other(&agent, stays.iter().collect());
    }
}

/// I1: a session id is live or in history, and in history once.
fn assert_sessions_are_unique(stays: &[Stay]) {
    let mut seen: HashSet<SessionId> = HashSet::new();
    for stay in stays {
        assert!(seen.insert(stay.session_id), "{stay:?} twice");
    }
}

/// I2, I7: one live stay at the most, it is the last, and none overlaps or is empty.
fn assert_stays_follow_each_other(agent: &AgentId, mut stays: Vec<&Stay>) {
    stays.sort_by_key(|stay| (stay.entered_at, stay.left_at.is_none()));
    for pair in stays.windows(2) {
        let ended = pair[0].left_at.expect("only the last stay may be live");
        assert!(ended <= pair[1].entered_at, "{agent}: {pair:?}");
    }
    for stay in stays {
        let left = stay.left_at.map_or(i64::MAX, |left| left.0);
        assert!(stay.entered_at.0 < left, "{agent}: {stay:?}");
        assert!(left == i64::MAX || left - stay.entered_at.0 < i64::try_from(HOUR.as_micros()).unwrap());
    }
}

/// I3, I4: entered and left alternate, and the agent is inside exactly if the last event says so.
fn assert_events_alternate(agent: &AgentId, stays: &[&Stay], events: &[&Pending]) {
    let mut inside = false;
    for event in events {
        let enters = event.operation == Operation::Entered;
        assert_ne!(enters, inside, "{agent}: {events:?}");
        inside = enters;
        assert!(stays.iter().any(|stay| stay.session_id == event.session_id), "{event:?} of nobody");
    }
    let live = stays.iter().any(|stay| stay.left_at.is_none());
    assert_eq!(live, inside, "{agent}: {events:?}");
}
