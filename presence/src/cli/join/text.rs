//! What a terminal may be shown of what a server says.

/// Longer lines are cut.
const MAX_CHARS: usize = 300;

/// Without control characters, which could move the cursor or retitle the window.
pub(in crate::cli) fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(clean).take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_draw_on_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\u{9b}b\n"), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
        assert_eq!(printable(&"é".repeat(1000)).chars().count(), 300);
    }
}
