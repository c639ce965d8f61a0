//! What a good history looks like. For now, the plainest of it.

use presence_api::history::{Act, Entry, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with it.
pub(crate) fn judge(history: &[Entry]) -> Vec<String> {
    let mut findings = vec![];
    once(history, &mut findings);
    alternation(history, &mut findings);
    backing(history, &mut findings);
    findings
}

fn once(history: &[Entry], findings: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for entry in history {
        if let Act::Live { session_id, .. } | Act::Ended { session_id, .. } = &entry.act
            && !seen.insert(*session_id)
        {
            findings.push(format!("I1: session {session_id} is there twice"));
        }
    }
}

fn alternation(history: &[Entry], findings: &mut Vec<String>) {
    let mut by_key: BTreeMap<(String, String), Vec<(u64, String, i64)>> = BTreeMap::new();
    for entry in history {
        if let Act::Published { seq, id, about } = &entry.act
            && let Some(agent) = &about.about
        {
            let key = (agent.clone(), about.classroom_id.clone());
            by_key.entry(key).or_default().push((*seq, id.operation.clone(), id.sequence_id));
        }
    }
    let live: BTreeSet<_> = history
        .iter()
        .filter_map(|entry| match &entry.act {
            Act::Live { key, .. } => Some((key.agent_id.clone(), key.classroom_id.clone())),
            _ => None,
        })
        .collect();
    for (key, events) in by_key {
        for (index, event) in events.iter().enumerate() {
            let expected = if index % 2 == 0 { "entered" } else { "left" };
            if event.1 != expected {
                findings.push(format!("I3: {key:?} {events:?}"));
                break;
            }
        }
        if (events.len() % 2 == 1) != live.contains(&key) {
            findings.push(format!("I4: {key:?} live: {} {events:?}", live.contains(&key)));
        }
    }
}

fn backing(history: &[Entry], findings: &mut Vec<String>) {
    let mut open: BTreeMap<(String, u64), (String, String)> = BTreeMap::new();
    let mut live = BTreeSet::new();
    for entry in history {
        match &entry.act {
            Act::Connect { socket, key, outcome: Outcome::Entered { .. }, .. } => {
                open.insert((entry.actor.clone(), *socket), (key.agent_id.clone(), key.classroom_id.clone()));
            }
            Act::Closed { socket, .. } => drop(open.remove(&(entry.actor.clone(), *socket))),
            Act::Live { key, .. } => drop(live.insert((key.agent_id.clone(), key.classroom_id.clone()))),
            Act::Quiet {} => break,
            _ => {}
        }
    }
    let open: BTreeMap<_, _> = open.into_iter().map(|(socket, key)| (key, socket)).collect();
    for (key, socket) in &open {
        if !live.contains(key) {
            findings.push(format!("I5: {socket:?} is open without a row of {key:?}"));
        }
    }
    for key in &live {
        if !open.contains_key(key) {
            findings.push(format!("I5: {key:?} is a ghost"));
        }
    }
}
