//! Many seeds, on all cores: how many is asked for by the environment, as `cargo xtask sim` does. It counts what they
//! were judged on and what happened in them, so that nobody takes an empty stage for a good play.

use crate::{
    judge::judged,
    run::{Options, Outcome, run},
    world::lock,
};
use presence_api::history::{Act, Outcome as Answer};
use presence_checker::Invariant;
use std::{
    collections::BTreeMap,
    fmt,
    io::Write as _,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// Without a wish: what every run of the tests plays.
const SEEDS: u64 = 2_000;
/// Fewer seeds than this prove nothing about what happens in them.
const ENOUGH: u64 = 500;
/// How often progress is told, in seconds.
const EVERY: u64 = 10;
/// After so many bad ones the rest is not played: somebody has to look first.
const ENOUGH_BAD: usize = 5;

/// What must happen in some of many seeds.
const HAPPENS: [&str; 21] = [
    "fault drain",
    "fault forget",
    "fault kill",
    "fault shed",
    "fault silence",
    "fault stall",
    "fault stop",
    "fault vanish",
    "fault weather",
    "fault wipe",
    "refused overloaded",
    "refused replaced",
    "resumed",
    "resync",
    "told replaced",
    "told session_lost",
    "told slow_consumer",
    "told terminated",
    "told token_expired",
    "unanswered",
    "entered",
];

/// What was asked for.
struct Wish {
    from: u64,
    seeds: u64,
    traced: bool,
}

fn wish<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// To the terminal, whatever the test harness captures: a run of minutes is to be seen.
fn say(what: &str) {
    // A terminal that is gone is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{what}");
}

pub(crate) fn every_seed_holds() {
    let wish = Wish {
        from: wish("PRESENCE_SIM_FROM").unwrap_or(1),
        seeds: wish("PRESENCE_SIM_SEEDS").unwrap_or(SEEDS),
        traced: std::env::var_os("PRESENCE_SIM_TRACE").is_some(),
    };
    let sum = play(&wish);
    say(&format!("simulation: {sum}"));
    assert!(sum.bad.is_empty(), "{}", sum.complaint());
    assert_eq!(sum.seeds, wish.seeds, "every seed is played");
    if wish.seeds >= ENOUGH {
        let missing: Vec<_> = HAPPENS.iter().filter(|what| !sum.happened.contains_key(**what)).collect();
        assert!(missing.is_empty(), "in {} seeds this never happened: {missing:?}", wish.seeds);
        let demanded = Invariant::OF_A_HISTORY.into_iter().chain([Invariant::I10]);
        let rarely = demanded.filter(|it| sum.judged.get(it).is_none_or(|seeds| seeds * 2 < wish.seeds));
        let rarely: Vec<_> = rarely.collect();
        assert!(rarely.is_empty(), "in most seeds there was nothing to judge these by: {rarely:?}");
    }
}

/// What many seeds came to.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    lines: usize,
    judged: BTreeMap<Invariant, u64>,
    happened: BTreeMap<String, u64>,
    /// Seeds that failed, and what was found.
    bad: BTreeMap<u64, String>,
}

fn play(wish: &Wish) -> Sum {
    let next = AtomicU64::new(wish.from);
    let sum = Mutex::new(Sum::default());
    let (began, told) = (Instant::now(), AtomicU64::new(0));
    let work = || loop {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= wish.from.saturating_add(wish.seeds) || lock(&sum).bad.len() >= ENOUGH_BAD {
            return;
        }
        let outcome = run(seed, Options { traced: wish.traced, ..Options::default() });
        let mut sum = lock(&sum);
        sum.add(seed, &outcome);
        let due = began.elapsed().as_secs() / EVERY;
        if told.swap(due, Relaxed) < due {
            say(&format!("simulation: {} of {} seeds, {} bad", sum.seeds, wish.seeds, sum.bad.len()));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.lines += outcome.history.len();
        for invariant in judged(&outcome.verdict) {
            *self.judged.entry(invariant).or_default() += 1;
        }
        for entry in &outcome.history {
            for what in happenings(&entry.act).into_iter().flatten() {
                *self.happened.entry(what).or_default() += 1;
            }
        }
        for line in &outcome.trace {
            say(line);
        }
        if !outcome.findings.is_empty() {
            let found: Vec<_> = outcome.findings.iter().map(ToString::to_string).collect();
            say(&format!("simulation: seed {seed} is bad; to play it again: {}", again(seed)));
            self.bad.insert(seed, found.join("\n  "));
        }
    }

    fn complaint(&self) -> String {
        let bad = self.bad.iter().map(|(seed, found)| format!("seed {seed}:\n  {found}\n{}\n", again(*seed)));
        bad.collect()
    }
}

/// The one command that plays a seed again.
fn again(seed: u64) -> String {
    format!("cargo xtask sim --seed {seed} --trace")
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds, {} bad, {} lines of history", self.seeds, self.bad.len(), self.lines)?;
        let judged: Vec<_> = self.judged.iter().map(|(it, seeds)| format!("{it} in {seeds}")).collect();
        writeln!(f, "  judged: {}", judged.join(", "))?;
        let happened: Vec<_> = self.happened.iter().map(|(what, times)| format!("{what} {times}")).collect();
        write!(f, "  happened: {}", happened.join(", "))
    }
}

fn happenings(act: &Act) -> [Option<String>; 2] {
    match act {
        Act::Fault { what, .. } => [Some(format!("fault {what}")), None],
        Act::Told { reason, .. } => [Some(format!("told {reason}")), None],
        Act::Resync { .. } => [Some("resync".to_owned()), None],
        Act::Connect { outcome, .. } => match outcome {
            Answer::Entered { resumed: true, .. } => [Some("entered".to_owned()), Some("resumed".to_owned())],
            Answer::Entered { .. } => [Some("entered".to_owned()), None],
            Answer::Refused { reason } => [Some(format!("refused {reason}")), None],
            Answer::Unknown { .. } => [Some("unanswered".to_owned()), None],
        },
        _ => [None, None],
    }
}
