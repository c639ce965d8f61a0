//! How long to wait before the next attempt, where the server does not say.

use std::time::Duration;

const FIRST_WAIT_MS: u64 = 500;
const LONGEST_WAIT_MS: u64 = 30_000;

/// Waits grow with each failure, up to half a minute, and no two clients wait alike.
pub(super) fn backoff(failures: u32, chance: u128) -> Duration {
    let doubled = FIRST_WAIT_MS.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let most = doubled.min(LONGEST_WAIT_MS);
    // The remainder is below `most`, and so fits.
    let spread = u64::try_from(chance % u128::from(most)).unwrap_or(0);
    Duration::from_millis(most / 2 + spread / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_spread_and_end() {
        for chance in [0, 1, 12_345, u128::MAX] {
            let millis = |failures| backoff(failures, chance).as_millis();
            assert!((250..500).contains(&millis(1)), "{chance}");
            assert!((1_000..2_000).contains(&millis(3)), "{chance}");
            assert!((15_000..30_000).contains(&millis(40)), "{chance}");
            assert!((15_000..30_000).contains(&millis(u32::MAX)), "{chance}");
        }
    }
}
