//! The commands that need adapters: what `cli` asks of the composition root.

use super::{identity, serve, store};
use crate::{
    adapters::{authn_jwt::MintRequest, clock_system::SystemClock, crypto::install_crypto_provider},
    cli::{Commands, Failure, TokenRequest},
    config::{Config, text::Secret},
    ports::{clock::Clock, session_store::Finding},
    telemetry,
};
use std::time::Duration;
use tokio::runtime::Runtime;

#[derive(Debug, Clone, Copy)]
pub struct Composition;

impl Commands for Composition {
    fn serve(&self, config: Config) -> Result<(), Failure> {
        let (runtime, _guard) = with_logs(&config)?;
        runtime.block_on(serve(config))
    }

    fn migrate(&self, config: Config) -> Result<(), Failure> {
        install_crypto_provider();
        let (runtime, _guard) = with_logs(&config)?;
        let applied = runtime.block_on(store::migrate(&config))?;
        let (before, after) = (applied.before, applied.after);
        if before == after {
            tracing::info!(schema = after, "the schema was up to date");
        } else {
            tracing::info!(before, after, "brought the schema up to date");
        }
        Ok(())
    }

    /// Says nothing in the log: what it prints is the result.
    fn verify(&self, config: &Config, settled: Duration, limit: u32) -> Result<Vec<Finding>, Failure> {
        install_crypto_provider();
        runtime()?.block_on(store::verify(config, settled, limit))
    }

    fn mint(&self, config: &Config, request: &TokenRequest) -> Result<Secret, Failure> {
        let key = identity::embedded_key(config)?;
        // Without any named, the token is for all of them: whoever has the key could name any.
        let classrooms =
            if request.classrooms.is_empty() { vec!["*".into()] } else { request.classrooms.clone() };
        let request = MintRequest {
            account: request.account.clone(),
            audience: request.audience.clone(),
            org_id: request.org_id.clone(),
            role: request.role.clone(),
            classrooms: Some(classrooms),
            ttl: request.ttl.0,
        };
        let token = key.mint(&request, SystemClock::start().wall());
        Ok(Secret::new(token.map_err(|error| Failure::other("the token cannot be signed", error))?))
    }
}

/// A runtime, and logs and traces. The guard is to be kept until the runtime is done: it sends what is left of the
/// traces.
fn with_logs(config: &Config) -> Result<(Runtime, telemetry::Guard), Failure> {
    let runtime = runtime()?;
    let started =
        runtime.block_on(async { telemetry::init(&config.log, &config.telemetry, &config.replica.label) });
    let guard = started.map_err(|error| Failure::other("logs and traces cannot be started", error))?;
    Ok((runtime, guard))
}

fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(|error| Failure::other("the runtime cannot be started", error))
}
