//! The one checker: what a run of many clients and replicas left behind (`presence_api::history`), judged by the
//! invariants of `docs/ARCHITECTURE.md`. The same rules at every level: simulation, real processes, production.
//!
//! Pure: entries in, a verdict out. Keys (an agent in a classroom) are independent of each other, so every check walks
//! one key, one socket or one classroom at a time, and a history of millions of lines is judged in seconds. What a
//! history has no material for is *not judged*, which is not the same as *held*.

mod apps;
mod bounds;
mod dumps;
mod faults;
mod ghosts;
mod hearing;
mod ids;
mod lessons;
mod owners;
mod presences;
mod read;
mod record;
mod stays;
mod stream;
mod terms;
mod timeline;
mod verdict;

pub use read::{ReadError, read};
pub use terms::Terms;
pub use verdict::{Counts, Finding, Invariant, Rejected, Standing, Verdict};

use presence_api::history::Entry;

/// Judges a history. The lines of one actor must stand in their own order; those of different actors need not.
pub fn judge(history: &[Entry], terms: &Terms) -> Verdict {
    let record = record::Record::of(history);
    let mut sheet = verdict::Sheet::default();
    ids::check(&record, terms, &mut sheet);
    owners::check(&record, terms, &mut sheet);
    stream::check(&record, &mut sheet);
    presences::check(&record, terms, &mut sheet);
    ghosts::check(&record, terms, &mut sheet);
    hearing::check(&record, &mut sheet);
    stays::check(&record, terms, &mut sheet);
    lessons::check(&record, &mut sheet);
    bounds::check(&record, terms, &mut sheet);
    sheet.close(history)
}
