//! The history of one scenario: what everybody who takes part writes, kept in memory for the checker and in a file for
//! whoever reads why a scenario failed.

use anyhow::{Context, Result};
use presence_api::history::{Act, Entry, Outcome};
use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// No scenario comes near; one that does has run away, and its history says so by being unwritable.
const MOST: usize = 2_000_000;

/// A handle; all of them write the same history.
#[derive(Debug, Clone)]
pub struct History {
    pub path: PathBuf,
    written: Arc<Mutex<Written>>,
}

#[derive(Debug)]
struct Written {
    entries: Vec<Entry>,
    file: File,
    /// Connects that succeeded, by actor.
    entered: HashMap<String, usize>,
    /// The first entry that could not be kept, and why.
    lost: Option<String>,
}

/// The wall clock that all times of a history are of.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

impl History {
    pub fn at(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("make {}", path.display()))?;
        let written = Written { entries: vec![], file, entered: HashMap::new(), lost: None };
        Ok(Self { path: path.to_owned(), written: Arc::new(Mutex::new(written)) })
    }

    /// What took from `began` until now.
    pub fn since(&self, began: i64, actor: &str, act: Act) {
        self.write(Entry { began, at: now(), actor: actor.to_owned(), act });
    }

    /// What just happened.
    pub fn now(&self, actor: &str, act: Act) {
        let at = now();
        self.write(Entry { began: at, at, actor: actor.to_owned(), act });
    }

    pub fn write(&self, entry: Entry) {
        let mut written = self.lock();
        let line = serde_json::to_string(&entry).map_err(std::io::Error::from);
        let kept = line.and_then(|line| writeln!(written.file, "{line}"));
        if let Err(error) = kept {
            written.lost.get_or_insert_with(|| format!("{error}: {entry:?}"));
        }
        if matches!(entry.act, Act::Connect { outcome: Outcome::Entered { .. }, .. }) {
            *written.entered.entry(entry.actor.clone()).or_default() += 1;
        }
        if written.entries.len() < MOST {
            written.entries.push(entry);
        } else {
            written.lost.get_or_insert_with(|| format!("more than {MOST} entries"));
        }
    }

    /// The saboteur did it just now.
    pub fn fault(&self, what: &str, whom: &str) {
        self.now("saboteur", Act::Fault { what: what.to_owned(), whom: whom.to_owned() });
    }

    /// The saboteur did it from `began` until now.
    pub fn fault_since(&self, began: i64, what: &str, whom: &str) {
        self.since(began, "saboteur", Act::Fault { what: what.to_owned(), whom: whom.to_owned() });
    }

    /// How many connects succeeded so far.
    pub fn entered(&self) -> usize {
        self.lock().entered.values().sum()
    }

    /// How many actors entered at least once.
    pub fn who_entered(&self) -> usize {
        self.lock().entered.len()
    }

    /// How many clients were told this so far.
    pub fn told(&self, what: &str) -> usize {
        let is_it = |entry: &&Entry| matches!(&entry.act, Act::Told { reason, .. } if reason == what);
        self.lock().entries.iter().filter(is_it).count()
    }

    /// All of it, that of each actor in its own order.
    pub fn whole(&self) -> Result<Vec<Entry>> {
        let written = self.lock();
        if let Some(lost) = &written.lost {
            anyhow::bail!("the history is not whole: {lost}");
        }
        Ok(written.entries.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
