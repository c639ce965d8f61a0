//! The checker's own test. Good histories are accepted whole; each of many ways to spoil one is noticed, by the
//! invariant that it spoils; and nothing that can be written down makes the checker stumble.

mod chance;
mod model;
mod scenarios;

use presence_checker::{Invariant, Terms, judge};

/// What a history of the model has material for.
const JUDGED: [Invariant; 8] = [
    Invariant::I1,
    Invariant::I2,
    Invariant::I3,
    Invariant::I4,
    Invariant::I5,
    Invariant::I6,
    Invariant::I7,
    Invariant::I9,
];

#[test]
fn good_histories_are_accepted_and_every_invariant_is_judged() {
    for good in scenarios::good(1..11) {
        if let Err(rejected) = judge(&good.entries, &Terms::default()).expect(&JUDGED) {
            panic!("{}: {rejected}", good.name);
        }
    }
}
