//! The fault book, `docs/FAULTS.md`: every test that it names exists, and every test of this tier is named in it.

use presence_tests::{Context, Result, ensure};
use std::{collections::BTreeSet, process::Command};

const BOOK: &str = include_str!("../../docs/FAULTS.md");

#[test]
fn the_fault_book_names_every_test_and_no_other() -> Result<()> {
    let exe = std::env::current_exe().context("find this test binary")?;
    let output =
        Command::new(exe).args(["--list", "--format", "terse"]).output().context("list the tests")?;
    let listed = String::from_utf8(output.stdout).context("a list of tests is text")?;
    let exist: BTreeSet<_> =
        listed.lines().filter_map(|line| line.strip_suffix(": test")).map(bare).collect();
    let exist: BTreeSet<_> = exist.into_iter().filter(|name| !name.starts_with("book::")).collect();
    ensure!(exist.len() > 20, "the list of tests is not one: {listed}");
    let named: BTreeSet<_> =
        BOOK.split('`').filter_map(|word| word.strip_prefix("chaos::")).map(str::to_owned).collect();
    let (missing, invented): (Vec<_>, Vec<_>) =
        (exist.difference(&named).collect(), named.difference(&exist).collect());
    ensure!(missing.is_empty(), "docs/FAULTS.md does not name {missing:#?}");
    ensure!(invented.is_empty(), "docs/FAULTS.md names what does not exist: {invented:#?}");
    Ok(())
}

/// Without saying whether it is played in every run.
fn bare(name: &str) -> String {
    name.replace("::short::", "::").replace("::long::", "::")
}
