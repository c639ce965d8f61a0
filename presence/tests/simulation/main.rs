//! The simulation: the real engine, several replicas of it, in one thread and in virtual time, over a store, a bus and a
//! network that a seed makes fail. What agents, a witness and a reader saw is judged by the one checker.
//!
//! A seed that fails prints the one command that plays it again. See `docs/TESTING.md`.

mod agent;
mod chance;
mod defects;
mod judge;
mod many;
mod publisher;
mod replica;
mod run;
mod saboteur;
mod scenes;
mod socket;
mod world;

use run::{Options, run};

#[test]
fn every_seed_holds() {
    many::every_seed_holds();
}

#[test]
fn a_seed_is_the_same_run_each_time_it_is_played() {
    for seed in 1..=20 {
        let played = || run(seed, Options { traced: true, ..Options::default() }).trace;
        let (first, second) = (played(), played());
        let differs = first.iter().zip(&second).position(|(one, other)| one != other);
        if let Some(at) = differs {
            let until = &first[at.saturating_sub(5)..=at];
            panic!("seed {seed} differs at line {at}:\n{}\nor\n{}", until.join("\n"), second[at]);
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
