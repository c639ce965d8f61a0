//! The plan in thousands of seeded histories: specs that change, pods that fail, caches that lag, operators that die between
//! two writes. After each write and at the end, invariants I11 and I12 are looked at. A failure names its seed.

mod chance;
mod history;
mod operator;
mod view;
mod world;

use history::History;

const SEEDS: u64 = 400;

#[test]
fn any_history_ends_in_what_the_spec_asks_for_and_is_legal_all_along() {
    for seed in 0..SEEDS {
        History::new(seed, operator::Caches::Lagging).run();
    }
}

#[test]
fn with_fresh_eyes_no_ready_pod_is_taken_that_is_needed_and_there_is_a_surge_of_one_size_at_most() {
    for seed in 0..SEEDS {
        History::new(seed, operator::Caches::Fresh).run();
    }
}

#[test]
fn a_deletion_that_drains_lets_go_when_pods_are_gone_or_late() {
    for seed in 0..SEEDS {
        History::new(seed, operator::Caches::Lagging).run_to_its_deletion();
    }
}
