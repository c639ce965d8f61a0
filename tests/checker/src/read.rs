//! From JSON lines to entries. A line that is no entry is named; nothing is skipped but empty lines.

use presence_api::history::Entry;
use std::io::BufRead;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("line {line} is no entry of a history")]
    Line { line: usize, source: serde_json::Error },
    #[error("line {line} cannot be read")]
    Io { line: usize, source: std::io::Error },
}

/// Reads a history to its end. Lines count from 1.
pub fn read(lines: impl BufRead) -> Result<Vec<Entry>, ReadError> {
    let mut entries = Vec::new();
    for (index, text) in lines.lines().enumerate() {
        let line = index + 1;
        let text = text.map_err(|source| ReadError::Io { line, source })?;
        if !text.trim().is_empty() {
            entries.push(serde_json::from_str(&text).map_err(|source| ReadError::Line { line, source })?);
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: &str = r#"{"began":1,"at":2,"actor":"a","op":"quiet"}"#;

    #[test]
    fn entries_are_read_and_empty_lines_passed_over() {
        assert_eq!(read(format!("{QUIET}\n\n{QUIET}\n").as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        let error = read(format!("{QUIET}\n{{\"began\":1}}\n").as_bytes()).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn a_line_that_is_no_text_is_named() {
        let bytes = [QUIET.as_bytes(), b"\n\xff\xfe\n"].concat();
        assert!(matches!(read(bytes.as_slice()).unwrap_err(), ReadError::Io { line: 2, .. }));
    }
}
