//! `presence-bench check`: histories of swarms, witnesses, readers and saboteurs as one, and what the checker says of it.

use anyhow::{Context, Result, bail};
use presence_api::history::Entry;
use presence_checker::{Invariant, Terms, judge, read};
use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

/// Judges histories by the invariants of docs/ARCHITECTURE.md; fails when one is violated.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// History files; they are read as one, by time
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Bounds that are not the default ones: JSON as in `{"ghost_ms": 5000}`, or a file with it
    #[arg(long, value_name = "JSON OR FILE")]
    terms: Option<String>,
    /// Invariants that must have been judged, as in I2,I6: a history without material for them fails
    #[arg(long, value_delimiter = ',', value_name = "NAMES", value_parser = invariant)]
    demand: Vec<Invariant>,
}

/// Whether everything holds.
pub(crate) fn run(args: &Args) -> Result<()> {
    let terms = terms(args.terms.as_deref())?;
    let history = merged(&args.files)?;
    crate::say(&format!("{} lines of {} files", history.len(), args.files.len()));
    let verdict = judge(&history, &terms);
    // A verdict that is not good is in the error.
    verdict.expect(&args.demand)?;
    println!("{verdict}");
    Ok(())
}

fn merged(files: &[PathBuf]) -> Result<Vec<Entry>> {
    let mut history = vec![];
    for path in files {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let entries = read(BufReader::new(file)).with_context(|| format!("read {}", path.display()))?;
        history.extend(entries);
    }
    // Stable: what one wrote stays in his own order.
    history.sort_by_key(|entry| entry.at);
    Ok(history)
}

fn terms(given: Option<&str>) -> Result<Terms> {
    let Some(given) = given else { return Ok(Terms::default()) };
    let text = if given.trim_start().starts_with('{') {
        given.to_owned()
    } else {
        fs::read_to_string(Path::new(given)).with_context(|| format!("read the terms in {given}"))?
    };
    serde_json::from_str(&text).context("understand the terms")
}

fn invariant(text: &str) -> Result<Invariant> {
    let known = Invariant::ALL.iter().find(|invariant| invariant.to_string().eq_ignore_ascii_case(text));
    let Some(found) = known else { bail!("no invariant that the checker knows") };
    Ok(*found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_api::history::Act;

    fn write(folder: &Path, name: &str, ats: &[i64]) -> PathBuf {
        let path = folder.join(name);
        let line = |at: &i64| {
            let entry = Entry { began: *at, at: *at, actor: name.into(), act: Act::Quiet {} };
            serde_json::to_string(&entry).unwrap() + "\n"
        };
        fs::write(&path, ats.iter().map(line).collect::<String>()).unwrap();
        path
    }

    #[test]
    fn several_files_are_one_history_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let files = [write(folder.path(), "a", &[1, 4, 4]), write(folder.path(), "b", &[2, 4])];
        let history = merged(&files).unwrap();
        let order: Vec<_> = history.iter().map(|entry| (entry.at, entry.actor.as_str())).collect();
        assert_eq!(order, [(1, "a"), (2, "b"), (4, "a"), (4, "a"), (4, "b")]);
        assert!(merged(&[folder.path().join("none")]).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn terms_are_given_in_place_or_in_a_file() {
        assert_eq!(terms(Some(r#"{"ghost_ms": 5}"#)).unwrap().ghost_ms, 5);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terms");
        fs::write(&path, r#"{"settle_ms": 6}"#).unwrap();
        assert_eq!(terms(path.to_str()).unwrap().settle_ms, 6);
        assert!(terms(Some(r#"{"gost_ms": 5}"#)).is_err());
        assert!(invariant("I99").is_err());
    }
}
