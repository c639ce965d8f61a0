//! Counting what Rust's test harness prints: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.

/// How a tier, or all of them, went. One that is ignored counts as failed: nothing is skipped in silence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Reads line by line and keeps the sum.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    pub(crate) tally: Tally,
    pub(crate) ignored: u64,
}

impl Counter {
    pub(crate) fn line(&mut self, line: &str) {
        let Some(counts) = line.trim_start().strip_prefix("test result: ") else {
            return;
        };
        let count = |what: &str| {
            counts
                .split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
        };
        let ignored = count("ignored").unwrap_or(0);
        self.ignored += ignored;
        self.tally.add(Tally {
            passed: count("passed").unwrap_or(0),
            failed: count("failed").unwrap_or(0) + ignored,
        });
    }

    /// The sum, given whether the command that printed it succeeded: a test binary that died, or one that did not
    /// build, prints no result and still is a failure.
    pub(crate) fn finish(self, succeeded: bool) -> Tally {
        let mut tally = self.tally;
        if !succeeded && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> Counter {
        let mut counter = Counter::default();
        for line in lines {
            counter.line(line);
        }
        counter
    }

    #[test]
    fn results_of_all_binaries_are_added() {
        let counter = counted(&[
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.01s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.01s",
        ]);
        assert_eq!(counter.finish(false), Tally { passed: 13, failed: 2 });
    }

    #[test]
    fn an_ignored_test_is_a_failed_one() {
        let counter =
            counted(&["test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out"]);
        assert_eq!(counter.ignored, 2);
        assert_eq!(counter.finish(true), Tally { passed: 1, failed: 2 });
    }

    #[test]
    fn a_binary_that_died_is_a_failure() {
        let counter =
            counted(&["test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"]);
        assert_eq!(counter.finish(false), Tally { passed: 5, failed: 1 });
        assert_eq!(counted(&[]).finish(false), Tally { passed: 0, failed: 1 });
    }

    #[test]
    fn a_test_that_prints_such_a_line_inside_another_is_not_counted() {
        assert_eq!(counted(&["it said: test result: ok. 5 passed"]).finish(true), Tally::default());
    }
}
