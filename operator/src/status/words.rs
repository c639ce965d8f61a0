//! Other people's words in a message: one line, and not too long.

const CUT: &str = "…";

/// At most `bytes` of it, cut between characters.
pub(super) fn bounded(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes.saturating_sub(CUT.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &text[..end])
}

/// Its lines as one, without control characters.
pub(super) fn line(text: &str, bytes: usize) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("; ");
    let printable: String = joined.chars().filter(|letter| !letter.is_control()).collect();
    bounded(&printable, bytes)
}

/// What presence said when it ended: what follows its name, or else its last line. Its logs, which have times in them and so
/// would change with each try, are left out.
pub(super) fn last_words(text: &str) -> Option<String> {
    let spoken = text.rfind("presence: ").filter(|at| *at == 0 || text[..*at].ends_with('\n'));
    let said = match spoken {
        Some(at) => &text[at + "presence: ".len()..],
        None => text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('{'))?,
    };
    let said = line(said, 256);
    (!said.is_empty()).then_some(said)
}
