//! Spans of time of one key: joined, and asked whether they cover others.

/// Spans that do not touch, in order.
#[derive(Debug, Default)]
pub(crate) struct Timeline(Vec<(i64, i64)>);

impl Timeline {
    /// Empty and backward spans count for nothing.
    pub(crate) fn new(mut spans: Vec<(i64, i64)>) -> Self {
        spans.retain(|(from, to)| from <= to);
        spans.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    /// The first moment of `from..=to` that no span covers.
    pub(crate) fn hole(&self, from: i64, to: i64) -> Option<i64> {
        if from > to {
            return None;
        }
        let next = self.0.partition_point(|&(_, end)| end < from);
        match self.0.get(next) {
            Some(&(begin, end)) if begin <= from => (end < to).then_some(end),
            _ => Some(from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_where_nothing_covers() {
        let line = Timeline::new(vec![(20, 30), (0, 10), (5, 15), (9, 3)]);
        assert_eq!(line.hole(0, 15), None);
        assert_eq!(line.hole(20, 30), None);
        assert_eq!(line.hole(0, 20), Some(15));
        assert_eq!(line.hole(16, 18), Some(16));
        assert_eq!(line.hole(31, 31), Some(31));
        assert_eq!(line.hole(9, 8), None);
    }
}
