//! When the saboteur disturbed whom: bounds hold within their time after that, not during it.

use presence_api::history::{Act, Entry, Outcome};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault<'a> {
    pub(crate) began: i64,
    pub(crate) at: i64,
    whom: Whom<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Whom<'a> {
    Replica(&'a str),
    Actor(&'a str),
    Everybody,
}

/// Whose faults matter: of one key, its actors and the replicas that it was on.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) actors: BTreeSet<&'a str>,
    pub(crate) replicas: BTreeSet<&'a str>,
    /// A connect without an answer may have gone to any replica, and one at a door that does not name it was on any.
    pub(crate) any_replica: bool,
}

impl Scope<'_> {
    fn concerns(&self, whom: Whom<'_>) -> bool {
        match whom {
            Whom::Replica(name) => self.any_replica || self.replicas.contains(name),
            Whom::Actor(name) => self.actors.contains(name),
            Whom::Everybody => true,
        }
    }
}

/// All faults, by their beginning.
#[derive(Debug, Default)]
pub(crate) struct Faults<'a>(Vec<Fault<'a>>);

impl<'a> Faults<'a> {
    pub(crate) fn of(history: &'a [Entry]) -> Self {
        let (mut replicas, mut actors) = (BTreeSet::new(), BTreeSet::new());
        for entry in history {
            match &entry.act {
                Act::Connect { outcome, .. } => {
                    actors.insert(entry.actor.as_str());
                    if let Outcome::Entered { replica, .. } = outcome
                        && !replica.is_empty()
                    {
                        replicas.insert(replica.as_str());
                    }
                }
                Act::Admitted { .. } => {
                    actors.insert(entry.actor.as_str());
                }
                Act::Live { replica, .. } => {
                    replicas.insert(replica.as_str());
                }
                _ => {}
            }
        }
        let fault = |entry: &'a Entry| {
            let Act::Fault { whom, .. } = &entry.act else { return None };
            let whom = match whom.as_str() {
                name if replicas.contains(name) => Whom::Replica(name),
                name if actors.contains(name) => Whom::Actor(name),
                _ => Whom::Everybody,
            };
            Some(Fault { began: entry.began, at: entry.at, whom })
        };
        let mut faults: Vec<_> = history.iter().filter_map(fault).collect();
        faults.sort_by_key(|fault| fault.began);
        Self(faults)
    }

    pub(crate) fn concerning(&self, scope: &Scope<'_>) -> Undisturbed {
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for fault in self.0.iter().filter(|fault| scope.concerns(fault.whom)) {
            match spans.last_mut() {
                Some(last) if fault.began <= last.1 => last.1 = last.1.max(fault.at),
                _ => spans.push((fault.began, fault.at)),
            }
        }
        Undisturbed(spans)
    }
}

/// The faults of one scope, as spans that do not touch.
#[derive(Debug)]
pub(crate) struct Undisturbed(Vec<(i64, i64)>);

impl Undisturbed {
    /// When `wait` has passed since `from` without a fault in between.
    pub(crate) fn after(&self, from: i64, wait: i64) -> i64 {
        let first = self.0.partition_point(|&(_, at)| at <= from);
        let mut since = from;
        for &(began, at) in &self.0[first..] {
            if began > since.saturating_add(wait) {
                break;
            }
            since = at.max(since);
        }
        since.saturating_add(wait)
    }

    /// Whether a fault touches this span.
    pub(crate) fn touches(&self, from: i64, to: i64) -> bool {
        let first = self.0.partition_point(|&(_, at)| at < from);
        self.0.get(first).is_some_and(|&(began, _)| began <= to)
    }

    pub(crate) fn spans(&self) -> &[(i64, i64)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_from_the_end_of_the_faults_that_fall_into_it() {
        let faults = Undisturbed(vec![(10, 20), (24, 30), (100, 110)]);
        assert_eq!(faults.after(0, 5), 5);
        assert_eq!(faults.after(5, 5), 35);
        assert_eq!(faults.after(15, 3), 23);
        assert_eq!(faults.after(30, 5), 35);
        assert_eq!(faults.after(i64::MAX, 5), i64::MAX);
    }

    #[test]
    fn a_span_is_touched_by_what_falls_into_it() {
        let faults = Undisturbed(vec![(10, 20)]);
        assert!(faults.touches(0, 10) && faults.touches(20, 30) && faults.touches(12, 13));
        assert!(!faults.touches(0, 9) && !faults.touches(21, 30));
    }
}
