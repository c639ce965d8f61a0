//! Repeatable chance: a xorshift generator, so that a seed names a history for ever.

#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn number(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 11) % u64::from(end)).expect("it is below a u32")
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u32::try_from(end).expect("nothing here has so many");
        self.number(end) as usize
    }

    pub(crate) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// At most `limit` of them, in their order.
    pub(crate) fn some<T>(&mut self, mut all: Vec<T>, limit: usize) -> Vec<T> {
        while all.len() > limit {
            all.remove(self.below(all.len()));
        }
        all
    }
}
