//! How much is asked for at a time: the bounds of every list.

/// The most items a page may hold.
pub const MAX_LIMIT: u32 = 1000;
/// The agents that a connect answer or a resync lists at once; the rest is read over HTTP.
pub const SNAPSHOT_LIMIT: u32 = 200;

/// A number of items between 1 and `MAX_LIMIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u32);

impl Limit {
    /// `None` where the number is 0 or more than a page may hold.
    pub const fn new(limit: u32) -> Option<Self> {
        if limit >= 1 && limit <= MAX_LIMIT { Some(Self(limit)) } else { None }
    }

    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(MAX_LIMIT)
    }
}
