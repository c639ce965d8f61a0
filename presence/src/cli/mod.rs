//! The command line: what was asked for is parsed in `args`, done here or by the composition root, and ends with an
//! exit code that says who has to act.
//!
//! Only the composition root may name adapters; what needs one is behind `Commands`.

mod access;
mod agents;
pub mod args;
mod documents;
mod failure;
mod join;
mod verify;

pub use args::{Cli, Command};
pub use failure::Failure;

use crate::{
    config::{
        Config, Environment,
        text::{Period, Secret},
    },
    ports::session_store::Finding,
};
use access::Access;
use args::TokenArgs;
use presence_core::ids::{Account, Audience};
use std::{io, io::Write, path::Path, time::Duration};

/// A token to be signed with the embedded key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    pub account: Account,
    pub audience: Audience,
    pub org_id: Option<String>,
    pub role: Option<String>,
    /// Classrooms, or patterns of them. `*` is all.
    pub classrooms: Vec<String>,
    pub ttl: Period,
}

/// What only the composition root can do.
pub trait Commands {
    /// Runs the server until it is told to end.
    fn serve(&self, config: Config) -> Result<(), Failure>;
    /// Brings the store's schema up to date.
    fn migrate(&self, config: Config) -> Result<(), Failure>;
    /// What the store holds against the invariants. It only reads.
    fn verify(&self, config: &Config, settled: Duration, limit: u32) -> Result<Vec<Finding>, Failure>;
    /// Signs a token with the key in `data_dir`, which is made where it is absent.
    fn mint(&self, config: &Config, request: &TokenRequest) -> Result<Secret, Failure>;
}

/// Does what the command line asks for. Results go to `out`, and nothing else does.
pub fn run(
    cli: Cli,
    environment: &Environment,
    commands: &dyn Commands,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match dispatch(cli, environment, commands, out) {
        // Whoever reads has read enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn dispatch(
    cli: Cli,
    environment: &Environment,
    commands: &dyn Commands,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    // An empty variable is as if it were not set.
    let file = cli.config.as_deref().filter(|path| !path.as_os_str().is_empty());
    let config = || Config::load(file, environment);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => commands.serve(config()?),
        Command::Migrate => commands.migrate(config()?),
        Command::Verify(args) => {
            verify::report(&commands.verify(&config()?, args.settled.0, args.limit)?, &args, out)
        }
        Command::Token(args) => {
            let token = commands.mint(&config()?, &requested(args))?;
            Ok(writeln!(out, "{}", token.expose())?)
        }
        Command::Join(args) => {
            let access = Access::new(&args.access, &config, commands)?;
            join::run(&args.classroom, &args.label, &access, out)
        }
        Command::Agents(args) => {
            agents::run(&args.classroom, &Access::new(&args.access, &config, commands)?, out)
        }
        Command::CheckConfig => check(&config()?, file, out),
        Command::ConfigSchema => Ok(out.write_all(documents::config_schema().as_bytes())?),
        Command::Openapi => Ok(out.write_all(documents::openapi().as_bytes())?),
        Command::OpenapiInternal => Ok(out.write_all(documents::openapi_internal().as_bytes())?),
        Command::ErrorsDoc => Ok(out.write_all(documents::errors().as_bytes())?),
        Command::ProtocolSchema => Ok(out.write_all(documents::protocol_schema().as_bytes())?),
    }
}

fn requested(args: TokenArgs) -> TokenRequest {
    let all = || vec!["*".to_owned()];
    TokenRequest {
        account: args.account,
        audience: args.audience,
        org_id: args.org,
        role: args.role,
        classrooms: if args.classrooms.is_empty() { all() } else { args.classrooms },
        ttl: args.ttl,
    }
}

fn check(config: &Config, file: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let file = file.map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
    writeln!(out, "# The settings are good ({file}, the environment, the defaults). In force:")?;
    out.write_all(documents::pretty(config).as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug)]
    struct Root;

    impl Commands for Root {
        fn serve(&self, config: Config) -> Result<(), Failure> {
            let taken = io::Error::from(io::ErrorKind::AddrInUse);
            Err(Failure::unavailable(format!("{} cannot be listened on", config.public.addr), taken))
        }

        fn migrate(&self, _: Config) -> Result<(), Failure> {
            Ok(())
        }

        fn verify(&self, _: &Config, settled: Duration, limit: u32) -> Result<Vec<Finding>, Failure> {
            let what = format!("{settled:?} {limit}");
            Ok(vec![Finding { invariant: "I5", what }])
        }

        fn mint(&self, _: &Config, request: &TokenRequest) -> Result<Secret, Failure> {
            Ok(Secret::new(format!("{}:{}", request.account, request.classrooms.join("+"))))
        }
    }

    fn run_line(line: &str, environment: &[(&str, &str)]) -> (String, Result<(), Failure>) {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let environment = environment.iter().map(|(name, value)| (*name, *value)).collect();
        let mut out = Vec::new();
        let result = run(cli, &environment, &Root, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn a_token_and_nothing_else_is_printed() {
        assert_eq!(run_line("presence token --account anna", &[]).0, "anna:*\n");
        assert_eq!(run_line("presence token --account anna --classroom math", &[]).0, "anna:math\n");
    }

    #[test]
    fn a_store_that_lies_is_reported_and_is_a_failure() {
        let (out, result) = run_line("presence verify --settled 1m --limit 7", &[]);
        assert!(out.contains("\n      60s 7\n"), "{out}");
        assert_eq!(result.unwrap_err().exit_code(), 1);
    }

    #[test]
    fn the_exit_code_says_who_has_to_act() {
        let failure = |line, environment: &[_]| run_line(line, environment).1.unwrap_err();
        let settings = failure("presence", &[("PRESENCE_STORE__URL", "x")]);
        assert_eq!(settings.exit_code(), 78);
        assert!(settings.report().contains("PRESENCE_STORE__URL=postgres://"), "{}", settings.report());
        let port = failure("presence serve", &[]);
        assert_eq!(port.exit_code(), 69);
        assert_eq!(port.report(), "127.0.0.1:8080 cannot be listened on: address in use");
    }

    #[test]
    fn checked_settings_are_printed_without_their_secrets() {
        let (out, result) = run_line(
            "presence check-config",
            &[("PRESENCE_STORE__URL", "postgres://u:hunter2@h/d"), ("PRESENCE_BUS__TOKEN", "hunter2")],
        );
        assert!(result.is_ok() && out.contains("\"token\": \"…\"") && !out.contains("hunter2"), "{out}");
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        struct Left;
        impl Write for Left {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let cli = Cli::try_parse_from(["presence", "config-schema"]).unwrap();
        assert!(run(cli, &Environment::default(), &Root, &mut Left).is_ok());
    }
}
