//! `presence-bench witness`: what the stream has of a swarm's classrooms, as a history of its own. For whoever ends a
//! swarm before everything that it caused was published.

use crate::{
    say,
    swarm::{Clock, Recorder, Witness, duration},
};
use anyhow::Result;
use std::{path::PathBuf, time::Duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bus
    #[arg(long, value_name = "URL")]
    nats: String,
    /// The stream that the servers keep events in
    #[arg(long, default_value = "presence")]
    stream: String,
    /// The swarm's name
    #[arg(long, default_value = "swarm")]
    name: String,
    /// The position that it begins after; without it, at the stream's beginning
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    after: u64,
    /// How long the stream must have been quiet before it is read
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = duration)]
    quiet: Duration,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    history: PathBuf,
    /// More bytes than this are an error
    #[arg(long, default_value_t = 4 * 1024 * 1024 * 1024, value_name = "BYTES")]
    history_limit: u64,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let recorder = Recorder::create(&args.history, args.history_limit)?;
    let witness = Witness::connect(&args.nats, &args.stream, &args.name).await?;
    witness.quiet(args.quiet).await?;
    let events = witness.tell(args.after, &recorder, Clock::start().now()).await?;
    recorder.finish()?;
    say(&format!("{events} events are in {}", args.history.display()));
    Ok(())
}
