//! Time and chance: what a simulation puts its own in place of.

use presence_core::time::{Time, UnixMicros};
use std::fmt::Debug;

pub trait Clock: Debug + Send + Sync {
    /// Milliseconds on a monotonic clock; the same origin for the whole process.
    fn now(&self) -> Time;

    /// The wall clock. It may step; nothing but a token's validity is measured by it.
    fn wall(&self) -> UnixMicros;

    /// A random number, for spreading clients in time. Not for secrets.
    fn chance(&self) -> u64;
}
