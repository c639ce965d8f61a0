//! Asking a cluster's supervisor for something, over its socket: a line of JSON there, a line of JSON back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::layout::State;
use super::plan::Publication;

/// More than the supervisor allows a machine to end.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn power(state: &State, node: &str, on: bool) -> Result<()> {
    send(state, &json!({"verb": if on { "start" } else { "kill" }, "machine": node}))
}

pub(super) fn publish(state: &State, publication: &Publication) -> Result<()> {
    send(state, &json!({"verb": "publish", "publish": publication.plan()}))
}

pub(super) fn down(state: &State) -> Result<()> {
    send(state, &json!({"verb": "down"}))
}

fn send(state: &State, request: &Value) -> Result<()> {
    let mut stream = UnixStream::connect(state.socket())
        .with_context(|| format!("reach the supervisor of cluster `{}`", state.name))?;
    stream.set_read_timeout(Some(ANSWERED_WITHIN)).context("bound the wait")?;
    // In one piece: it answers and hangs up as soon as it has understood.
    stream.write_all(format!("{request}\n").as_bytes()).context("ask the supervisor")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("hear the supervisor")?;
    let answer: Value = serde_json::from_str(&line).with_context(|| format!("understand {line:?}"))?;
    if let Some(error) = answer["error"].as_str() {
        bail!("{error}");
    }
    Ok(())
}
