//! The command line as types. What each option means is its help text.

use crate::config::text::{Period, Secret};
use clap::{Args, Parser, Subcommand};
use presence_core::ids::{Account, AgentLabel, Audience, ClassroomId};
use std::path::PathBuf;
use url::Url;

/// Who is in the classroom, now and afterwards.
#[derive(Debug, Parser)]
#[command(name = "presence", version, about)]
pub struct Cli {
    /// A settings file in YAML. The environment (`PRESENCE_STORE__URL` and so on) wins over it.
    #[arg(long, global = true, env = "PRESENCE_CONFIG", value_name = "PATH")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server. This is what happens without a command, too.
    Serve,
    /// Bring the store's schema up to date, and end.
    Migrate,
    /// Check what the store says against the invariants of docs/ARCHITECTURE.md. It only reads, and may run at any time.
    Verify(VerifyArgs),
    /// Print a token signed with the embedded key, and nothing else.
    Token(TokenArgs),
    /// Be present in a classroom from this terminal, and see who comes and goes.
    Join(JoinArgs),
    /// List who is present in a classroom.
    Agents(AgentsArgs),
    /// Check the settings, and print those in force. Secrets are not shown.
    CheckConfig,
    /// Print the JSON schema of the settings.
    ConfigSchema,
    /// Print the OpenAPI document of the public HTTP API.
    #[command(hide = true)]
    Openapi,
    /// Print the OpenAPI document of the internal HTTP API.
    #[command(hide = true)]
    OpenapiInternal,
    /// Print docs/ERRORS.md.
    #[command(hide = true)]
    ErrorsDoc,
    /// Print the JSON schema of frames and events.
    #[command(hide = true)]
    ProtocolSchema,
}

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// How long what is eventual may take. More than a lease, the return window and a drain take together.
    #[arg(long, default_value = "30s")]
    pub settled: Period,
    /// How many findings of each invariant to show.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// Who the token is for: its `sub`.
    #[arg(long)]
    pub account: Account,
    /// Whose account that is: its `aud`.
    #[arg(long, default_value = DEFAULT_AUDIENCE)]
    pub audience: Audience,
    /// Its `org_id`.
    #[arg(long)]
    pub org: Option<String>,
    /// Its `role`.
    #[arg(long)]
    pub role: Option<String>,
    /// A classroom that it admits, or a pattern with `*`; may be repeated. Without any, it admits all.
    #[arg(long = "classroom", value_name = "CLASSROOM")]
    pub classrooms: Vec<String>,
    /// How long it is good for.
    #[arg(long, default_value = "1h")]
    pub ttl: Period,
}

/// The audience of tokens that nobody named one for.
pub const DEFAULT_AUDIENCE: &str = "local";

/// Whom to ask, and as whom.
#[derive(Debug, Clone, Args)]
pub struct Access {
    /// The server, as in `https://presence.example`. Without it, the one that these settings describe.
    #[arg(long, value_name = "URL", value_parser = server)]
    pub server: Option<Url>,
    /// The token to show. Without it, one is signed with the embedded key.
    #[arg(long, env = "PRESENCE_TOKEN", hide_env_values = true)]
    pub token: Option<Secret>,
    /// Without a token: whom to sign one for. Without this, the user of this terminal.
    #[arg(long, conflicts_with = "token")]
    pub account: Option<Account>,
    /// Without a token: the account's audience.
    #[arg(long, default_value = DEFAULT_AUDIENCE)]
    pub audience: Audience,
}

#[derive(Debug, Clone, Args)]
pub struct JoinArgs {
    /// Where to be present.
    pub classroom: ClassroomId,
    /// What kind of client this is: the first part of the agent id.
    #[arg(long, default_value = "cli")]
    pub label: AgentLabel,
    #[command(flatten)]
    pub access: Access,
}

#[derive(Debug, Clone, Args)]
pub struct AgentsArgs {
    /// Whose agents to list.
    pub classroom: ClassroomId,
    #[command(flatten)]
    pub access: Access,
}

/// A server's URL, with `http` for `ws`.
fn server(text: &str) -> Result<Url, &'static str> {
    const EXPECTED: &str = "expected a URL as in https://presence.example";
    let text = match text.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        Some(_) | None => text.to_owned(),
    };
    let mut url = Url::parse(&text).map_err(|_| EXPECTED)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.query().is_some() {
        return Err(EXPECTED);
    }
    if !url.path().ends_with('/') {
        // So that what is joined to it goes below it.
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_serve() {
        assert!(parse("presence").unwrap().command.is_none());
        let cli = parse("presence check-config --config a.yaml").unwrap();
        assert_eq!(cli.config, Some("a.yaml".into()));
    }

    #[test]
    fn a_token_names_its_account() {
        let line = "presence token --account anna --org o1 --classroom math --classroom art-* --ttl 5m";
        let Some(Command::Token(args)) = parse(line).unwrap().command else { panic!() };
        assert_eq!((args.account.as_str(), args.audience.as_str()), ("anna", "local"));
        assert_eq!((args.classrooms.len(), args.ttl), (2, Period::secs(300)));
        for bad in ["presence token", "presence token --account a --ttl 5", "presence token --account é"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_check_of_the_store_is_bounded() {
        let Some(Command::Verify(args)) = parse("presence verify").unwrap().command else { panic!() };
        assert_eq!((args.settled, args.limit, args.json), (Period::secs(30), 20, false));
        assert!(parse("presence verify --settled 2m --limit 5 --json").is_ok());
        for bad in ["--limit 0", "--limit 10001", "--settled 30"] {
            assert!(parse(&format!("presence verify {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_classroom_to_join_is_one_word_and_a_server_a_url() {
        let Some(Command::Join(args)) =
            parse("presence join math --server wss://a.example/p").unwrap().command
        else {
            panic!()
        };
        assert_eq!((args.classroom.as_str(), args.label.as_str()), ("math", "cli"));
        assert_eq!(args.access.server.unwrap().join("ws").unwrap().as_str(), "https://a.example/p/ws");
        for bad in ["join a.b", "join math --server a.example", "join math --token t --account a", "agents"] {
            assert!(parse(&format!("presence {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_not_in_what_is_printed() {
        let cli = parse("presence agents math --token hunter2").unwrap();
        assert!(!format!("{cli:?}").contains("hunter2"));
    }
}
