//! Who says whether a run was good: the one checker, by the settings that the simulated replicas have; and the run's own
//! end, which no history shows.

use presence_api::history::Entry;
use presence_checker::{Invariant, Standing, Terms, Verdict};
use std::fmt;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The invariant, or the run's own end.
    pub(crate) by: String,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.by, self.what)
    }
}

/// Of the run's own end.
pub(crate) fn at_the_end(what: impl Into<String>) -> Finding {
    Finding { by: "end".to_owned(), what: what.into() }
}

/// A connect waits for its event and for a former holder, half a second and a third of one.
const ENTER_WITHIN: u64 = 3_000;

pub(crate) fn judge(history: &[Entry]) -> Verdict {
    let terms = Terms { clock_ms: 0, enter_within_ms: Some(ENTER_WITHIN), ..Terms::default() };
    presence_checker::judge(history, &terms)
}

pub(crate) fn findings(history: &[Entry], verdict: &Verdict) -> Vec<Finding> {
    let quote = |line: &usize| history.get(*line).and_then(|entry| serde_json::to_string(entry).ok());
    let worded = |finding: &presence_checker::Finding| {
        let lines: Vec<_> = finding.lines.iter().filter_map(quote).collect();
        Finding {
            by: finding.invariant.to_string(),
            what: format!("{}\n    {}", finding.what, lines.join("\n    ")),
        }
    };
    verdict.findings.iter().map(worded).collect()
}

/// Which invariants it was judged by.
pub(crate) fn judged(verdict: &Verdict) -> impl Iterator<Item = Invariant> + '_ {
    Invariant::ALL.into_iter().filter(|invariant| verdict.standing(*invariant) != Standing::NotJudged)
}
