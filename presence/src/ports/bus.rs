//! How a classroom hears: events published, delivered live in order, and read again from where somebody left off.

use super::Fault;
use crate::event::Event;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use presence_api::event::Operation;
use presence_core::ids::{ClassroomId, SessionId, SessionKey};
use std::{fmt::Debug, sync::Arc};

/// One of our own events, to be published. Its message id is `{session id}:{entered|left}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub operation: Operation,
    pub session_id: SessionId,
    pub key: SessionKey,
}

/// What a classroom's subscription brings.
#[derive(Debug, Clone)]
pub enum Arrival {
    Event(Arc<Event>),
    /// Events may be missing before `position`, and cannot be brought: whoever listens needs the state instead.
    Gap {
        position: u64,
    },
}

pub struct Subscription {
    /// Every event of the classroom after this position arrives. 0: not known, and a `Gap` comes once it is.
    pub position: u64,
    pub arrivals: BoxStream<'static, Arrival>,
}

impl Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("position", &self.position).finish_non_exhaustive()
    }
}

/// What was said between two positions.
#[derive(Debug, Clone)]
pub enum Backlog {
    /// Exactly these, in order.
    Complete(Vec<Arc<Event>>),
    /// It cannot be proved that nothing is missing: too old, too much, or another stream's position.
    Unprovable,
}

/// Contract:
/// - `publish` returns once the event is kept, with its position; repeating it within the duplicate window changes
///   nothing and returns the same position.
/// - `subscribe` succeeds while the bus is away: its arrivals begin when it is back. It never waits long (300 ms).
/// - Arrivals come in order of position, none twice, none missing but for an announced `Gap`, over reconnects too.
///   Messages that are no events are counted and skipped.
/// - Positions grow, over the whole bus; those of a stream made anew lie above all of the old one's.
/// - `read` returns the classroom's events in `(after, up_to]`, or says that it cannot.
#[async_trait]
pub trait Bus: Debug + Send + Sync {
    async fn publish(&self, event: &Outgoing) -> Result<u64, Fault>;
    async fn subscribe(&self, classroom: &ClassroomId) -> Result<Subscription, Fault>;
    async fn read(&self, classroom: &ClassroomId, after: u64, up_to: u64) -> Result<Backlog, Fault>;
    /// Whether the bus is reachable now, for readiness details and metrics.
    fn is_up(&self) -> bool;
}
