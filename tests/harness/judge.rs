//! The seam to the checker: one history in, one verdict out, held to the bounds of the cluster's quick settings.

use anyhow::Result;
use presence_api::history::Entry;
use presence_checker::{Invariant, Terms, judge as verdict};

/// What every scenario of the chaos tier is judged by. I8 is about Redis, and I10 about what no client sees.
pub const DEMANDED: [Invariant; 8] = [
    Invariant::I1,
    Invariant::I2,
    Invariant::I3,
    Invariant::I4,
    Invariant::I5,
    Invariant::I6,
    Invariant::I7,
    Invariant::I9,
];

/// A lease of 2 s, a return window of 2 s, a drain of 4 s; and a machine that does more than it can.
fn terms() -> Terms {
    Terms { ghost_ms: 15_000, overlap_ms: 12_000, unseen_ms: 8_000, ..Terms::default() }
}

/// Fails with the verdict's text unless all of these were judged and nothing is violated.
pub fn judge(history: &[Entry], demanded: &[Invariant]) -> Result<()> {
    Ok(verdict(history, &terms()).expect(demanded)?)
}
