//! The checker's own test. Good histories are accepted whole; each of many ways to spoil one is noticed, by the
//! invariant that it spoils; and nothing that can be written down makes the checker stumble.

mod chance;
mod edges;
mod lesson_world;
mod lessons;
mod model;
mod mutations;
mod robust;
mod scenarios;
mod script;
mod view;

use chance::Chance;
use presence_checker::{Invariant, Standing, Terms, judge};
use view::View;

#[test]
fn good_histories_are_accepted_and_every_invariant_is_judged() {
    for good in scenarios::good(1..11) {
        if let Err(rejected) = judge(&good.entries, &Terms::default()).expect(&Invariant::OF_A_HISTORY) {
            panic!("{}: {rejected}", good.name);
        }
    }
}

/// How many of one mutation's places in one history are tried.
const PLACES: usize = 3;

#[test]
fn every_spoiled_history_is_rejected_by_the_invariant_that_it_spoils() {
    let good = scenarios::good(21..24);
    let views: Vec<_> = good.iter().map(|good| (good, View::new(&good.entries))).collect();
    let mut chance = Chance::new(7);
    let (mut all, mut escaped) = (0, Vec::new());
    for mutation in mutations::all() {
        let (mut count, mut caught) = (0, 0);
        for (good, view) in &views {
            for patch in chance.some((mutation.spoil)(view), PLACES) {
                let verdict = judge(&patch.apply(&good.entries), &Terms::default());
                count += 1;
                let noticed = |aim: &Invariant| verdict.standing(*aim) == Standing::Violated;
                if mutation.aims.iter().all(noticed) {
                    caught += 1;
                } else {
                    escaped.push(format!("{} ({}):\n{verdict}", mutation.name, good.name));
                }
            }
        }
        println!("{:<45} {:>4} spoiled {caught:>4} caught by {:?}", mutation.name, count, mutation.aims);
        assert!(count >= 3, "{}: {count} places are too few to tell", mutation.name);
        all += count;
    }
    println!("{:<45} {all:>4} spoiled {:>4} caught", "all", all - escaped.len());
    assert!(all >= 500, "{all} spoiled histories are too few");
    assert!(
        escaped.is_empty(),
        "{} escaped, as:\n{}",
        escaped.len(),
        escaped[..escaped.len().min(3)].join("\n\n")
    );
}
