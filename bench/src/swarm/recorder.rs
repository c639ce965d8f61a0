//! The history file: JSON lines of `presence_api::history::Entry`, buffered, bounded in bytes.
//!
//! A history with a hole judges wrongly. So when the file is full or cannot be written, nothing more goes into it, the
//! swarm says so at once, and its exit is an error.

use anyhow::{Context, Result, bail};
use presence_api::history::Entry;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

const BUFFER: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Recorder {
    path: PathBuf,
    limit: u64,
    /// Never waited for: one thread runs all agents, and a line is written in one go.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: BufWriter<File>,
    line: Vec<u8>,
    written: u64,
    lines: u64,
    failed: Option<String>,
}

impl Recorder {
    pub(crate) fn create(path: &Path, limit: u64) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("make the history {}", path.display()))?;
        let file = BufWriter::with_capacity(BUFFER, file);
        let state = State { file, line: Vec::with_capacity(512), written: 0, lines: 0, failed: None };
        Ok(Self { path: path.to_owned(), limit, state: Mutex::new(state) })
    }

    pub(crate) fn write(&self, entry: &Entry) {
        let mut state = self.lock();
        if state.failed.is_some() {
            return;
        }
        if let Err(error) = state.write(entry, self.limit) {
            let why = format!("the history {} ends early: {error:#}", self.path.display());
            crate::say(&format!("ERROR: {why}"));
            state.failed = Some(why);
        }
    }

    /// So that what was written so far is in the file.
    pub(crate) fn flush(&self) {
        let mut state = self.lock();
        if let Err(error) = state.file.flush() {
            state.failed.get_or_insert(format!("write the history {}: {error}", self.path.display()));
        }
    }

    /// Flushes. Fails if anything is missing in it. Returns how many lines it has.
    pub(crate) fn finish(&self) -> Result<u64> {
        self.flush();
        let state = self.lock();
        match &state.failed {
            Some(why) => bail!("{why}"),
            None => Ok(state.lines),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, entry: &Entry, limit: u64) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, entry).context("write an entry as JSON")?;
        self.line.push(b'\n');
        let length = u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        if self.written.saturating_add(length) > limit {
            bail!("it has the {limit} bytes that --history-limit allows");
        }
        self.file.write_all(&self.line).context("write")?;
        self.written += length;
        self.lines += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_api::history::Act;

    fn entry(at: i64) -> Entry {
        Entry { began: at, at, actor: "a".into(), act: Act::Quiet {} }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h");
        let recorder = Recorder::create(&path, 1_000).unwrap();
        recorder.write(&entry(1));
        recorder.write(&entry(2));
        assert_eq!(recorder.finish().unwrap(), 2);
        let text = std::fs::read_to_string(path).unwrap();
        let read: Vec<Entry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, [entry(1), entry(2)]);
    }

    #[test]
    fn a_full_history_has_whole_lines_and_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h");
        let recorder = Recorder::create(&path, 60).unwrap();
        for at in 0..10 {
            recorder.write(&entry(at));
        }
        assert!(recorder.finish().unwrap_err().to_string().contains("--history-limit"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.len() <= 60 && text.ends_with('\n'), "{text}");
    }
}
