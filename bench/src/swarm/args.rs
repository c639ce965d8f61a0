//! The flags of `presence-bench swarm`, and what is wrong with them.

use super::{
    recorder::Recorder,
    token::{Purse, Source},
    world::{Mischief, Plan},
};
use crate::mint::Mint;
use anyhow::{Context, Result, bail};
use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

/// One process has no more sockets to give.
const MOST_AGENTS: usize = 50_000;
const LONGEST: Duration = Duration::from_hours(24);

/// Everybody comes in; then, for as long as `--for` says, agents do what the flags of mischief say; then all close
/// cleanly. SIGTERM and SIGINT end it early, in the same way. Prints `swarm: all in` once everybody was in.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A replica's public address; may be repeated. Agents begin on one after the other
    #[arg(long = "server", value_name = "HOST:PORT", value_parser = address, required_unless_present = "servers_file")]
    pub(super) servers: Vec<SocketAddr>,
    /// Addresses, one a line, looked at again and again: replicas may come and go meanwhile
    #[arg(long, value_name = "FILE", conflicts_with = "servers")]
    pub(super) servers_file: Option<PathBuf>,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    mint: MintArgs,

    /// How many agents
    #[arg(long, default_value_t = 100)]
    pub(super) agents: usize,
    /// How many of them are classroom apps, at the Socket.IO door, each a user of the org `bench` by a token of its own; their
    /// classrooms must be lessons of that org
    #[arg(long, default_value_t = 0, requires = "mint_from")]
    pub(super) apps: usize,
    /// Over how many classrooms they are spread
    #[arg(long, default_value_t = 10)]
    pub(super) classrooms: usize,
    /// The beginning of their labels and of their classrooms' ids; two swarms of different names do not meet
    #[arg(long, default_value = "swarm", value_parser = name)]
    pub(super) name: String,
    /// How long it lasts, at most 24h; from its beginning
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) lasts: Duration,
    /// Agents that begin per second; without it, all at once
    #[arg(long, value_name = "PER SECOND", value_parser = rate)]
    pub(super) connect_rate: Option<f64>,
    /// How many connect at a time
    #[arg(long, default_value_t = 1_000)]
    pub(super) in_flight: usize,
    /// How long an answer may take before an agent gives an attempt up
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub(super) answer_within: Duration,
    /// A socket on which not even a ping came for so long is given up
    #[arg(long, default_value = "45s", value_name = "TIME", value_parser = duration)]
    pub(super) silence: Duration,
    /// Chance begins here: the same flags make the same swarm
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,

    #[command(flatten)]
    pub(super) mischief: MischiefArgs,
    #[command(flatten)]
    pub(super) events: EventArgs,

    /// Write what everybody asked and heard, as JSON lines that `presence-bench check` judges
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,
    /// More bytes than this the history does not get; the swarm says so, and fails in the end
    #[arg(long, default_value_t = 4 * 1024 * 1024 * 1024, value_name = "BYTES")]
    pub(super) history_limit: u64,
    /// At the end, write what the stream has of these classrooms, too
    #[arg(long, requires = "nats", requires = "history")]
    pub(super) witness: bool,
    /// How long the stream must have been quiet before the witness reads it
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = duration)]
    pub(super) witness_after: Duration,
    /// Make this file once everybody was in
    #[arg(long, value_name = "FILE")]
    pub(super) ready_file: Option<PathBuf>,
    /// The last line is the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// At the end, all stay connected and silent until SIGTERM, and then vanish without a word
    #[arg(long)]
    pub(super) leave_open: bool,
}

/// The token that all agents show: one of these three.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TokenArgs {
    /// The token itself
    #[arg(long, env = "PRESENCE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file with the token, read again when it is about to expire
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A server's data folder: tokens are signed with the key in it, by `presence token`
    #[arg(long, value_name = "DIR")]
    mint_from: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct MintArgs {
    /// How long minted tokens are good for
    #[arg(long, default_value = "2h", value_name = "TIME")]
    token_ttl: String,
    /// The program that mints
    #[arg(long, env = "PRESENCE_BENCH_BIN", default_value = "presence", value_name = "PROGRAM")]
    presence: PathBuf,
}

impl std::fmt::Debug for TokenArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenArgs").finish_non_exhaustive()
    }
}

/// What agents do of themselves, once all are in.
#[derive(Debug, clap::Args)]
pub(crate) struct MischiefArgs {
    /// Fraction of agents per minute that close cleanly and come back as strangers
    #[arg(long, default_value_t = 0.0, value_name = "PER MINUTE", value_parser = per_minute)]
    churn: f64,
    /// Fraction of agents per minute that drop without a close frame and come back
    #[arg(long, default_value_t = 0.0, value_name = "PER MINUTE", value_parser = per_minute)]
    vanish: f64,
    /// Fraction of agents per minute that close and connect again within a millisecond
    #[arg(long, default_value_t = 0.0, value_name = "PER MINUTE", value_parser = per_minute)]
    reload: f64,
    /// Fraction of agents per minute that connect a second time while they are in
    #[arg(long, default_value_t = 0.0, value_name = "PER MINUTE", value_parser = per_minute)]
    double: f64,
    /// Every agent begins with two sockets at once
    #[arg(long)]
    pub(super) twice: bool,
    /// Fraction of agents that never come back when they are told to go, or lost
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", value_parser = fraction)]
    no_return: f64,
    /// Fraction of agents that do not read for a while each time that they have come in
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", value_parser = fraction)]
    stop_reading: f64,
    /// How long those do not read
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    stall: Duration,
    /// The longest that one who left or vanished stays away
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = duration)]
    away: Duration,
}

/// What a sibling service says meanwhile.
#[derive(Debug, clap::Args)]
pub(crate) struct EventArgs {
    /// Events per second, over all classrooms; one in ten is for one agent, one in ten is said by one
    #[arg(long, default_value_t = 0.0, value_name = "RATE", value_parser = rate, requires = "nats")]
    pub(super) events_per_second: f64,
    /// About how many bytes an event's payload has
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    pub(super) event_bytes: usize,
    /// The bus
    #[arg(long, value_name = "URL")]
    pub(super) nats: Option<String>,
    /// The stream that the servers keep events in
    #[arg(long, default_value = "presence")]
    pub(super) stream: String,
}

impl Args {
    pub(super) fn plan(&self) -> Result<Plan> {
        if self.agents == 0 || self.agents > MOST_AGENTS {
            bail!("--agents: from 1 to {MOST_AGENTS}; more processes have more");
        }
        if self.apps > self.agents {
            bail!("--apps: at most --agents");
        }
        if self.classrooms == 0 || self.classrooms > self.agents {
            bail!("--classrooms: from 1 to the number of agents");
        }
        if self.lasts.is_zero() || self.lasts > LONGEST {
            bail!("--for: more than nothing, and at most 24h");
        }
        if self.in_flight == 0 || self.answer_within.is_zero() || self.silence.is_zero() {
            bail!("--in-flight, --answer-within and --silence: more than nothing");
        }
        Ok(Plan {
            seed: self.seed,
            connect_rate: self.connect_rate.filter(|rate| *rate > 0.0),
            in_flight: self.in_flight,
            answer_within: self.answer_within,
            silence: self.silence,
            mischief: self.mischief.mischief(),
            twice: self.mischief.twice,
            apps: self.apps,
            ..Plan::of(&self.name, self.agents, self.classrooms)
        })
    }

    pub(super) fn purse(&self) -> Result<Purse> {
        let source = match &self.token {
            TokenArgs { token: Some(token), .. } => Source::Given(token.clone()),
            TokenArgs { token_file: Some(file), .. } => Source::File(file.clone()),
            TokenArgs { mint_from: Some(data_dir), .. } => Source::Mint {
                program: self.mint.presence.clone(),
                data_dir: data_dir.clone(),
                ttl: self.mint.token_ttl.clone(),
            },
            _ => bail!("--token, --token-file or --mint-from is needed"),
        };
        Purse::open(source).context("get a token")
    }

    /// Where there are apps.
    pub(super) fn app_mint(&self) -> Result<Option<Mint>> {
        let Some(data_dir) = self.token.mint_from.clone().filter(|_| self.apps > 0) else { return Ok(None) };
        let (program, ttl) = (self.mint.presence.clone(), self.mint.token_ttl.clone());
        Source::Mint { program, data_dir, ttl }.app_mint().map(Some)
    }

    pub(super) fn recorder(&self) -> Result<Option<Recorder>> {
        self.history.as_deref().map(|path| Recorder::create(path, self.history_limit)).transpose()
    }
}

impl MischiefArgs {
    const fn mischief(&self) -> Mischief {
        Mischief {
            churn: self.churn,
            vanish: self.vanish,
            reload: self.reload,
            double: self.double,
            no_return: self.no_return,
            stop_reading: self.stop_reading,
            stall: self.stall,
            away: self.away,
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found =
        text.to_socket_addrs().map_err(|error| format!("no address as in 127.0.0.1:8080: {error}"))?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}

/// A label has at most 64 characters, and the agent's number goes behind it.
fn name(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=48).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("1 to 48 of A–Z a–z 0–9 _ -")
    }
}

/// `250ms`, `60s`, `5m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a time as in 250ms, 60s, 5m or 1h";
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(EXPECTED),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or(EXPECTED)
}

fn within(text: &str, most: f64, expected: &'static str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number| (0.0..=most).contains(number)).ok_or(expected)
}

fn fraction(text: &str) -> Result<f64, &'static str> {
    within(text, 1.0, "expected a fraction from 0 to 1")
}

fn per_minute(text: &str) -> Result<f64, &'static str> {
    within(text, 60.0, "expected a fraction of agents per minute from 0 to 60")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    within(text, 100_000.0, "expected a number from 0 to 100000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    const LEAST: &str = "x --server 127.0.0.1:1 --token t --for 1s";

    fn parse(more: &str) -> Result<Args, String> {
        let line = format!("{LEAST} {more}");
        let cli = Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
        Ok(cli.args)
    }

    #[test]
    fn the_command_line_is_sound_and_the_least_is_enough() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let plan = parse("").unwrap().plan().unwrap();
        assert_eq!((plan.agents, plan.classrooms, plan.mischief.churn), (100, 10, 0.0));
    }

    #[test]
    fn what_is_unbounded_or_senseless_is_refused() {
        for bad in ["--agents 0", "--agents 50001", "--classrooms 0", "--classrooms 101", "--in-flight 0"] {
            assert!(parse(bad).unwrap().plan().is_err(), "{bad}");
        }
        for bad in [
            "--churn 61",
            "--no-return 1.5",
            "--stop-reading -1",
            "--stall 5",
            "--name a.b",
            "--events-per-second 5",
            "--witness",
            "--token-file f",
            "--servers-file f",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let unbounded = Cli::try_parse_from("x --server 127.0.0.1:1 --token t".split(' '));
        assert!(unbounded.unwrap_err().to_string().contains("--for"));
    }

    #[test]
    fn times_have_a_unit() {
        let millis = |text| duration(text).map(|time| time.as_millis());
        assert_eq!(
            [millis("250ms"), millis("60s"), millis("5m"), millis("1h")],
            [Ok(250), Ok(60_000), Ok(300_000), Ok(3_600_000)]
        );
        for bad in ["", "5", "s", "5d", "-1s", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_not_in_what_is_printed() {
        let args = Cli::try_parse_from("x --server 127.0.0.1:1 --token hunter2 --for 1s".split(' ')).unwrap();
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
