//! The binary: reads the command line, does what it says, and ends with a code that says who has to act.

use clap::Parser;
use presence::{
    app::Composition,
    cli::{self, Cli},
    config::Environment,
};
use std::{io, process::ExitCode};

/// Sockets come and go by the thousand: what they leave is given back to the system.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli::run(cli, &Environment::of_process(), &Composition, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            use io::Write as _;
            // There is nobody left to tell when this cannot be written.
            let _ = writeln!(io::stderr(), "presence: {}", failure.report());
            ExitCode::from(failure.exit_code())
        }
    }
}
