//! How many pods each Deployment has next: up at once, as far as there is room, and down by one pod at a time over all of
//! them. Agents of a pod that goes are told to connect elsewhere, so "elsewhere" is always there first.
//!
//! Kubernetes takes the pod, and takes one that is not ready before one that is.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Stage;
use super::group::{Group, count};
use crate::observed::Observed;

pub(super) struct Sizes<'a> {
    /// How many pods are asked for.
    replicas: i32,
    wanted: Option<Group<'a>>,
    /// Oldest first.
    others: &'a [Group<'a>],
    /// Pods that are on their way out.
    terminating: bool,
    /// A Deployment has not done yet what it was told, or that was not seen yet.
    unsettled: bool,
    /// How many pods the wanted revision may have, so that there are never more than twice what is asked for.
    room: i32,
}

/// A Deployment, none where it is the wanted one that is yet to be made, and how many pods it is to have.
pub(super) type Change<'a> = (Option<&'a str>, i32);

impl<'a> Sizes<'a> {
    pub(super) fn new(
        replicas: i32,
        wanted: Option<Group<'a>>,
        others: &'a [Group<'a>],
        observed: &Observed,
        now: Timestamp,
    ) -> Self {
        let terminating = i32::try_from(observed.terminating(now)).unwrap_or(i32::MAX);
        let known: BTreeSet<_> = others.iter().chain(&wanted).map(Group::revision).collect();
        let left_over =
            observed.servers().filter(|pod| !pod.is_terminating() && !known.contains(pod.revision()));
        let held: i32 = others.iter().map(|group| group.size().max(group.present())).sum();
        let elsewhere = held.saturating_add(terminating).saturating_add(count(left_over));
        Self {
            replicas,
            unsettled: !others.iter().chain(&wanted).all(Group::is_still),
            wanted,
            others,
            terminating: terminating > 0,
            room: replicas.saturating_mul(2).saturating_sub(elsewhere).clamp(0, replicas),
        }
    }

    /// It is made to be given pods: so it is not made while there is no room for one.
    pub(super) const fn may_exist(&self) -> bool {
        self.wanted.is_some() || self.room > 0 || self.replicas == 0
    }

    pub(super) fn step(&self) -> (Stage, Option<Change<'a>>) {
        let size = self.wanted.as_ref().map(Group::size);
        if size.is_none_or(|size| size < self.room) && self.may_exist() {
            return (Stage::Starting, Some((self.wanted.as_ref().map(Group::name), self.room)));
        }
        let Some(wanted) = self.wanted.as_ref().filter(|wanted| wanted.has_ready(self.replicas)) else {
            return (Stage::Starting, self.shrink(self.spare().or_else(|| self.surplus())));
        };
        // A pod is ready without the bus. That is right while the bus is away, and wrong where only this revision cannot find it.
        if wanted.says_of_bus(false) && self.others.iter().any(|group| group.says_of_bus(true)) {
            return (Stage::Starting, None);
        }
        if !self.others.is_empty() {
            return (Stage::Replacing, self.shrink(self.others.iter().find(|group| group.size() > 0)));
        }
        let over = wanted.size() > self.replicas;
        let stage = if over || self.terminating { Stage::ScalingIn } else { Stage::Settled };
        (stage, self.shrink(self.surplus()))
    }

    /// One pod less, unless one is still on its way out.
    fn shrink(&self, group: Option<&Group<'a>>) -> Option<Change<'a>> {
        let group = group.filter(|_| !self.terminating && !self.unsettled)?;
        Some((Some(group.name()), group.size() - 1))
    }

    /// The wanted one, where it has more pods than asked for.
    fn surplus(&self) -> Option<&Group<'a>> {
        self.wanted.as_ref().filter(|group| group.size() > self.replicas)
    }

    /// Where revisions follow each other so quickly that former ones leave no room for the wanted one: what can go although
    /// that is not whole yet. What is not ready serves nobody, and of what is ready no more is taken than is to spare. The
    /// latest goes first: the oldest has proved itself.
    fn spare(&self) -> Option<&Group<'a>> {
        let size = self.wanted.as_ref().map_or(0, Group::size);
        if size >= self.replicas {
            return None;
        }
        let latest_first = || self.others.iter().rev().filter(|group| group.size() > 0);
        let ready: i32 = self.others.iter().chain(&self.wanted).map(Group::ready).sum();
        latest_first()
            .find(|group| group.ready() < group.size())
            .or_else(|| latest_first().filter(|_| ready > self.replicas).min_by_key(|group| group.size()))
    }
}
