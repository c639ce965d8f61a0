//! `presence-operator`: does what its command line says, and ends with a code that says who has to act.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Parser as _;
use presence_operator::{
    cli::{Cli, Command, Failure, Run, SelfTest},
    crd, desired, operate, self_test, telemetry,
};
use tokio::runtime::Runtime;

/// Two threads are enough: it waits most of the time.
const THREADS: usize = 2;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nobody left to tell when this cannot be written.
            let _ = writeln!(io::stderr(), "presence-operator: {}", failure.report());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(run) => operate(run),
        Command::Crd => print(&crd::yaml()),
        Command::Render { file } => print(&render(&file)?),
        Command::SelfTest(wish) => self_test(wish),
        Command::Version => print(concat!(env!("CARGO_PKG_VERSION"), "\n")),
    }
}

fn operate(run: Run) -> Result<(), Failure> {
    telemetry::logs::install(run.log_format, &run.log)
        .map_err(|error| Failure::settings("the filter of the logs is not understood", error))?;
    runtime()?.block_on(operate::operate(run))
}

fn runtime() -> Result<Runtime, Failure> {
    // kube, reqwest and we ourselves use the one that was installed first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.map_err(|error| Failure::unavailable("the runtime cannot be started", error))
}

fn self_test(wish: SelfTest) -> Result<(), Failure> {
    let report = runtime()?.block_on(self_test::of_this_pod(wish))?;
    print(&report.to_string())?;
    if report.passed() { Ok(()) } else { Err(Failure::SelfTest) }
}

fn render(file: &Path) -> Result<String, Failure> {
    let what = || format!("{} cannot be read", file.display());
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.map_err(|error| Failure::settings(what(), error))?;
    desired::render_file(&text)
        .map_err(|error| Failure::settings(format!("{} cannot be rendered", file.display()), error))
}

fn print(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
