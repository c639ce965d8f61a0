//! What came of it: per invariant held, violated or not judged, on how much, and with which lines.

use presence_api::history::Entry;
use std::{collections::BTreeMap, fmt};

/// What must hold; section "Invariants" of `docs/ARCHITECTURE.md`, with the numbers of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Every session id is live or ended, ended once, and never back.
    I1,
    /// One live row and one hearing socket per key; ids and generations never go back.
    I2,
    /// Published events alternate; replace and handover emit neither; none twice.
    I3,
    /// Every presence's beginning and end is published, and nothing else is.
    I4,
    /// No ghosts, and no open socket without a row.
    I5,
    /// Every socket hears exactly what was published for it, in order.
    I6,
    /// Stays do not overlap, and cover what the agent saw.
    I7,
    /// The lesson state, the database and the clients agree.
    I8,
    /// Nobody hears another classroom.
    I9,
    /// Bounds.
    I10,
}

impl Invariant {
    pub const ALL: [Self; 10] =
        [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5, Self::I6, Self::I7, Self::I8, Self::I9, Self::I10];

    /// What a whole history has material for: of clients, of the stream and of the database. I8 is about classroom
    /// apps, and I10 needs to be told a bound.
    pub const OF_A_HISTORY: [Self; 8] =
        [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5, Self::I6, Self::I7, Self::I9];
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

/// A violation, and the entries (by index) that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub invariant: Invariant,
    pub what: String,
    pub lines: Vec<usize>,
}

/// How an invariant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Held,
    Violated,
    /// The history has nothing to judge it by.
    NotJudged,
}

/// On how much each invariant was judged, and why others were not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Invariant, Basis>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Basis {
    Judged(Vec<(usize, &'static str)>),
    Not(&'static str),
}

impl Counts {
    /// What an invariant was judged on, as `(1204, "events")`; empty where it was not judged.
    pub fn of(&self, invariant: Invariant) -> &[(usize, &'static str)] {
        match self.0.get(&invariant) {
            Some(Basis::Judged(on)) => on,
            _ => &[],
        }
    }
}

/// A verdict. Its text is a line per invariant, and below a violated one the findings with their lines, bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// At most 100 per invariant.
    pub findings: Vec<Finding>,
    pub checked: Counts,
    /// How many findings there were in all.
    found: BTreeMap<Invariant, usize>,
    /// The text of lines that the verdict's own text shows.
    quotes: BTreeMap<usize, String>,
}

/// A verdict that is not what was demanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n{verdict}")]
pub struct Rejected {
    what: String,
    verdict: Verdict,
}

impl Verdict {
    pub fn standing(&self, invariant: Invariant) -> Standing {
        match self.checked.0.get(&invariant) {
            _ if self.found.contains_key(&invariant) => Standing::Violated,
            Some(Basis::Judged(_)) => Standing::Held,
            _ => Standing::NotJudged,
        }
    }

    /// Nothing is violated; says nothing of what was not judged.
    pub fn holds(&self) -> bool {
        self.found.is_empty()
    }

    /// Nothing is violated, and all of these were judged.
    pub fn expect(&self, demanded: &[Invariant]) -> Result<(), Rejected> {
        let names = |standing| {
            let of = demanded.iter().filter(|it| self.standing(**it) == standing);
            of.map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let unjudged = names(Standing::NotJudged);
        let what = match (self.holds(), unjudged.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => format!("demanded, but not judged: {unjudged}"),
            (false, true) => "the history is no good".to_owned(),
            (false, false) => format!("the history is no good, and {unjudged} could not be judged"),
        };
        Err(Rejected { what, verdict: self.clone() })
    }
}

const KEPT: usize = 100;
const SHOWN: usize = 5;
const LINES: usize = 8;
const LINE_CHARS: usize = 240;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, invariant) in Invariant::ALL.into_iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.line(f, invariant)?;
        }
        Ok(())
    }
}

impl Verdict {
    fn line(&self, f: &mut fmt::Formatter<'_>, invariant: Invariant) -> fmt::Result {
        let basis = match self.checked.0.get(&invariant) {
            Some(Basis::Judged(on)) => worded(on),
            Some(Basis::Not(why)) => (*why).to_owned(),
            None => String::new(),
        };
        match self.standing(invariant) {
            Standing::Held => write!(f, "{invariant:<3}  ok          {basis}"),
            Standing::NotJudged => write!(f, "{invariant:<3}  not judged  {basis}"),
            Standing::Violated => {
                let found = self.found.get(&invariant).copied().unwrap_or_default();
                write!(f, "{invariant:<3}  VIOLATED    {} of {basis}", counted(found, "findings"))?;
                self.details(f, invariant, found)
            }
        }
    }

    fn details(&self, f: &mut fmt::Formatter<'_>, invariant: Invariant, found: usize) -> fmt::Result {
        let of = self.findings.iter().filter(|finding| finding.invariant == invariant);
        for finding in of.take(SHOWN) {
            write!(f, "\n     - {}", finding.what)?;
            for line in finding.lines.iter().take(LINES) {
                let quote = self.quotes.get(line).map_or("", String::as_str);
                write!(f, "\n       #{line} {quote}")?;
            }
        }
        match found.checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, "\n     … and {more} more"),
            _ => Ok(()),
        }
    }
}

/// `1,204 events, 311 keys`.
fn worded(on: &[(usize, &str)]) -> String {
    on.iter().map(|&(count, what)| counted(count, what)).collect::<Vec<_>>().join(", ")
}

fn counted(count: usize, what: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {}", if count == 1 { what.trim_end_matches('s') } else { what })
}

/// Where the checks write their findings down.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    findings: Vec<Finding>,
    found: BTreeMap<Invariant, usize>,
    counts: Counts,
}

impl Sheet {
    /// A violation. Past the hundredth of an invariant they are only counted.
    pub(crate) fn find(&mut self, invariant: Invariant, lines: &[usize], what: impl FnOnce() -> String) {
        let found = self.found.entry(invariant).or_default();
        *found += 1;
        if *found <= KEPT {
            self.findings.push(Finding { invariant, what: what(), lines: lines.to_vec() });
        }
    }

    /// What an invariant was judged on. Where nothing was, it was not judged, and `otherwise` says what is missing.
    pub(crate) fn judged(
        &mut self,
        invariant: Invariant,
        on: &[(usize, &'static str)],
        otherwise: &'static str,
    ) {
        let something = on.iter().any(|&(count, _)| count > 0);
        let basis = if something { Basis::Judged(on.to_vec()) } else { Basis::Not(otherwise) };
        self.counts.0.insert(invariant, basis);
    }

    pub(crate) fn close(self, history: &[Entry]) -> Verdict {
        let mut quotes = BTreeMap::new();
        for invariant in Invariant::ALL {
            let of = self.findings.iter().filter(|finding| finding.invariant == invariant);
            for &line in of.take(SHOWN).flat_map(|finding| finding.lines.iter().take(LINES)) {
                quotes.entry(line).or_insert_with(|| history.get(line).map(quote).unwrap_or_default());
            }
        }
        Verdict { findings: self.findings, checked: self.counts, found: self.found, quotes }
    }
}

fn quote(entry: &Entry) -> String {
    let text = serde_json::to_string(entry).unwrap_or_else(|_| format!("{entry:?}"));
    if text.chars().count() <= LINE_CHARS {
        return text;
    }
    text.chars().take(LINE_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_api::history::Act;

    fn quiet() -> Entry {
        Entry { began: 1, at: 2, actor: "a".into(), act: Act::Quiet {} }
    }

    fn verdict(findings: usize) -> Verdict {
        let mut sheet = Sheet::default();
        sheet.judged(Invariant::I3, &[(1204, "events"), (1, "keys")], "");
        sheet.judged(Invariant::I7, &[(0, "stays")], "no database dump");
        for n in 0..findings {
            sheet.find(Invariant::I3, &[0], || format!("finding {n}"));
        }
        sheet.close(&[quiet()])
    }

    #[test]
    fn held_and_not_judged_are_told_apart() {
        let text = verdict(0).to_string();
        assert!(text.contains("I3   ok          1,204 events, 1 key\n"), "{text}");
        assert!(text.contains("I7   not judged  no database dump"), "{text}");
        assert_eq!(text.lines().count(), Invariant::ALL.len());
    }

    #[test]
    fn findings_are_quoted_and_bounded() {
        let verdict = verdict(1_000);
        let text = verdict.to_string();
        assert!(text.contains("I3   VIOLATED    1,000 findings of 1,204 events"), "{text}");
        assert!(text.contains(r#"#0 {"began":1,"at":2,"actor":"a","op":"quiet"}"#), "{text}");
        assert!(text.contains("… and 995 more"), "{text}");
        assert_eq!(verdict.findings.len(), KEPT);
    }

    #[test]
    fn what_is_demanded_must_be_judged() {
        assert!(verdict(0).holds() && verdict(0).expect(&[Invariant::I3]).is_ok());
        let rejected = verdict(0).expect(&[Invariant::I3, Invariant::I7]).unwrap_err().to_string();
        assert!(rejected.starts_with("demanded, but not judged: I7\nI1"), "{rejected}");
        assert!(verdict(1).expect(&[]).is_err());
    }
}
