//! The simulation: the real engine, several replicas of it, in one thread and in virtual time, over a store, a bus and a
//! network that a seed makes fail. What agents, a witness and a reader saw is judged.
//!
//! A seed that fails prints the one command that plays it again. See `docs/TESTING.md`.

mod agent;
mod chance;
mod judge;
mod publisher;
mod replica;
mod run;
mod saboteur;
mod socket;
mod world;

use run::{Options, run};

#[test]
fn a_seed_is_the_same_run_each_time_it_is_played() {
    for seed in 1..=10 {
        let traced = || run(seed, Options { traced: true, ..Options::default() }).trace;
        let (first, second) = (traced(), traced());
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        if let Some(at) = differs {
            let from = at.saturating_sub(6);
            panic!(
                "seed {seed}, line {at}:\n{}\n---\n{}",
                first[from..=at].join("\n"),
                second[from..=at].join("\n")
            );
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}

#[test]
fn a_seed() {
    let seed = std::env::var("PRESENCE_SIM_SEED").map_or(1, |seed| seed.parse().unwrap());
    let count: u64 = std::env::var("PRESENCE_SIM_SEEDS").map_or(1, |seed| seed.parse().unwrap());
    let traced = std::env::var("PRESENCE_SIM_TRACE").is_ok();
    let mut bad = 0;
    for seed in seed..seed + count {
        let outcome = run(seed, Options { traced, ..Options::default() });
        for line in &outcome.trace {
            println!("{line}");
        }
        if !outcome.findings.is_empty() {
            bad += 1;
            println!("seed {seed}:");
            for finding in &outcome.findings {
                println!("  {finding}");
            }
        }
        if count == 1 {
            println!("{} lines", outcome.history.len());
        }
    }
    println!("{bad} of {count} bad");
}
