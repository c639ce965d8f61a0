//! Which rate to try next: up a ladder until one fails, then halfway between, so often.

const FIRST: [u32; 3] = [10, 20, 40];
/// Nobody needs to know more; and it ends the search in any case.
const HIGHEST: u32 = 20_480;

#[derive(Debug)]
pub(crate) struct Search {
    ladder: std::vec::IntoIter<u32>,
    pub(crate) passed: Option<u32>,
    failed: Option<u32>,
    bisections: u32,
}

impl Search {
    pub(crate) fn new(bisections: u32) -> Self {
        // 40, 60, 80, 120, 160, 240, …: a half more, then a third more.
        let doubled =
            std::iter::successors(Some(40), |rate| Some(rate * 2)).take_while(|rate| *rate < HIGHEST);
        let mut ladder: Vec<u32> = FIRST.into();
        ladder.extend(doubled.flat_map(|rate| [rate / 2 * 3, rate * 2]));
        Self { ladder: ladder.into_iter(), passed: None, failed: None, bisections }
    }

    pub(crate) fn next(&mut self) -> Option<u32> {
        let Some(failed) = self.failed else {
            return self.ladder.next();
        };
        self.bisections = self.bisections.checked_sub(1)?;
        let passed = self.passed.unwrap_or(0);
        let middle = passed.midpoint(failed);
        (middle > passed).then_some(middle)
    }

    pub(crate) fn record(&mut self, rate: u32, passed: bool) {
        if passed {
            self.passed = Some(rate);
        } else {
            self.failed = Some(rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries what a server that manages `limit` would pass.
    fn tried(limit: u32) -> (Vec<u32>, Option<u32>) {
        let (mut search, mut tried) = (Search::new(2), vec![]);
        while let Some(rate) = search.next() {
            tried.push(rate);
            search.record(rate, rate <= limit);
        }
        (tried, search.passed)
    }

    #[test]
    fn it_climbs_until_one_fails_and_then_looks_in_between() {
        assert_eq!(tried(105), (vec![10, 20, 40, 60, 80, 120, 100, 110], Some(100)));
        assert_eq!(tried(5), (vec![10, 5, 7], Some(5)));
    }

    #[test]
    fn it_ends_even_if_nothing_ever_fails() {
        let (tried, passed) = tried(u32::MAX);
        assert_eq!(tried[..10], [10, 20, 40, 60, 80, 120, 160, 240, 320, 480]);
        assert_eq!(passed, Some(HIGHEST));
    }
}
