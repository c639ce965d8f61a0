//! That the simulation bites: with each defect of `world::defect` put in, some of the first seeds must be found bad, and
//! found bad by what the defect breaks. Without it, the same seeds are good.

use crate::{
    run::{Options, run},
    world::defect::Defect,
};
use std::io::Write as _;

/// Seeds within which a defect must be caught.
const WITHIN: u64 = 300;

/// Plays seeds with the defect until one is found bad by one of these.
fn is_caught(defect: Defect, by: &[&str]) {
    for seed in 1..=WITHIN {
        let found = run(seed, Options { defect: Some(defect), ..Options::default() }).findings;
        let Some(caught) = found.iter().find(|finding| by.contains(&finding.by.as_str())) else {
            assert!(found.is_empty(), "seed {seed} with {defect:?} is bad, but not by {by:?}: {found:?}");
            continue;
        };
        let what = caught.what.lines().next().unwrap_or_default();
        // To the terminal, whatever is captured: how it was caught is what this test is for.
        let _ = writeln!(
            std::io::stderr(),
            "simulation: {defect:?} is caught by seed {seed}, {}: {what}",
            caught.by
        );
        let sound = run(seed, Options::default()).findings;
        assert!(sound.is_empty(), "seed {seed} is bad without {defect:?}, too: {sound:?}");
        return;
    }
    panic!("{defect:?} is not caught within {WITHIN} seeds");
}

/// (a) A crashed replica locks its agents out.
#[test]
fn a_dead_owner_that_locks_its_agents_out_is_caught() {
    is_caught(Defect::LockedOut, &["I5", "end"]);
}

/// (b) A drain moves rows to history with no `left`.
#[test]
fn a_drain_that_tells_nobody_is_caught() {
    is_caught(Defect::DrainedInSilence, &["I3", "I4"]);
}

/// (c) An old handler ends a session by its key.
#[test]
fn a_release_by_key_is_caught() {
    is_caught(Defect::ReleasedByKey, &["I1", "I3", "I4", "I5", "I7"]);
}

/// (d) A stalled client blocks every takeover of its replica.
#[test]
fn a_replica_that_waits_for_a_slow_client_is_caught() {
    is_caught(Defect::StalledByAClient, &["I10", "end"]);
}

/// (e) A `left` that could not be published is only logged.
#[test]
fn an_event_that_is_forgotten_when_it_cannot_be_published_is_caught() {
    is_caught(Defect::ForgottenEvent, &["I3", "I4"]);
}

#[test]
fn ghosts_that_nobody_looks_for_are_caught() {
    is_caught(Defect::Unreconciled, &["I2", "I5"]);
}

#[test]
fn sessions_of_the_dead_that_nobody_ends_are_caught() {
    is_caught(Defect::Unswept, &["I5"]);
}

#[test]
fn a_late_release_that_is_believed_is_caught() {
    is_caught(Defect::GenerationIgnored, &["I1", "I3", "I4", "I5", "I7"]);
}

#[test]
fn a_replace_that_says_entered_again_is_caught() {
    is_caught(Defect::EnteredAgain, &["I3", "I4"]);
}
