//! A process's standard error: JSON lines, searched while it runs and judged when the scenario is over.

use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// How much of a log is shown when a test fails.
const TAIL_LINES: usize = 60;

#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub fn text(&self) -> Result<String> {
        fs::read_to_string(&self.path).with_context(|| format!("read {}", self.path.display()))
    }

    /// The first line with exactly this message.
    pub fn find(&self, message: &str) -> Result<Value> {
        let text = self.text()?;
        let found = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found
            .into_iter()
            .find(|entry| entry["message"] == message)
            .with_context(|| format!("there is no {message:?} in the log"))
    }

    /// What a log must not hold: panics, and warnings or errors that are not expected.
    pub fn objections(&self, expected: &[String]) -> Result<Vec<String>> {
        let text = self.text()?;
        Ok(text.lines().filter(|line| objectionable(line, expected)).map(str::to_owned).collect())
    }

    pub fn tail(&self) -> String {
        let text = self.text().unwrap_or_else(|error| format!("{error:#}"));
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

/// A line that is no JSON was not written by the logger: a panic's, or a library's that went past it.
fn objectionable(line: &str, expected: &[String]) -> bool {
    if line.trim().is_empty() {
        return false;
    }
    let Ok(entry) = serde_json::from_str::<Value>(line) else {
        return true;
    };
    let message = entry["message"].as_str().unwrap_or_default();
    let is_trouble = matches!(entry["level"].as_str(), Some("WARN" | "ERROR") | None);
    message.contains("panicked") || is_trouble && !expected.iter().any(|text| message.contains(text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(line: &str) -> bool {
        objectionable(line, &["the bus is away".to_owned()])
    }

    #[test]
    fn a_panic_and_an_unexpected_warning_are_objected_to() {
        assert!(objects("thread 'main' panicked at src/x.rs:1:1:"));
        assert!(objects(r#"{"level":"WARN","message":"claim session"}"#));
        assert!(objects(r#"{"level":"ERROR","message":"a vital task ended"}"#));
        assert!(objects(r#"{"level":"INFO","message":"a handler panicked"}"#));
        assert!(!objects(r#"{"level":"WARN","message":"the bus is away; trying"}"#));
        assert!(!objects(r#"{"level":"INFO","message":"listening"}"#));
        assert!(!objects(""));
    }
}
