//! What can go wrong with Redis, told apart by whether trying again may help. Nothing in here holds a password.

use crate::ports::Fault;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::path::PathBuf;

pub(super) const WHAT: &str = "the lesson state";

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the address of Redis cannot be used")]
    Address(#[source] RedisError),
    #[error("the certificates in {path} cannot be read")]
    CaFile { path: PathBuf, source: std::io::Error },
    #[error("the certificates in {path} are none, or Redis is not asked over TLS (rediss://)")]
    Certificates { path: PathBuf, source: RedisError },
}

/// What a Redis says that will be another one soon, or is not itself now. In a script of Redis 6 it stands in the text.
const FOR_NOW: [&str; 8] =
    ["READONLY", "LOADING", "BUSY", "MASTERDOWN", "OOM", "MISCONF", "NOREPLICAS", "TRYAGAIN"];

pub(super) fn fault(error: RedisError) -> Fault {
    if is_for_now(&error) { Fault::unavailable(WHAT, error) } else { Fault::failed(WHAT, error) }
}

fn is_for_now(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => true,
        _ => FOR_NOW.iter().any(|word| says(error, word)),
    }
}

/// It takes no writes: it was the primary once, and another is by now.
pub(super) fn is_read_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) || says(error, "READONLY")
}

/// This connection is of no use any more.
pub(super) fn is_of_the_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || is_read_only(error)
}

pub(super) fn does_not_know_the_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn says(error: &RedisError, word: &str) -> bool {
    let in_text = |text: &str| text.split(|c: char| !c.is_ascii_uppercase()).any(|found| found == word);
    error.code() == Some(word) || error.detail().is_some_and(in_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, detail: &str) -> RedisError {
        redis::make_extension_error(code.into(), Some(detail.into()))
    }

    #[test]
    fn a_redis_that_is_not_itself_now_is_asked_again_and_one_that_refuses_is_not() {
        let away = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        let inside = "Error running script (call to f_1): @user_script:9: -READONLY You can't write";
        for error in [away, said("OOM", "command not allowed"), said("ERR", inside), said("LOADING", "")] {
            assert!(matches!(fault(error), Fault::Unavailable { .. }));
        }
        for error in
            [said("WRONGTYPE", "a key is a string"), said("NOPERM", "no permission"), said("ERR", "syntax")]
        {
            assert!(matches!(fault(error), Fault::Failed { .. }));
        }
        assert!(is_of_the_connection(&said("ERR", inside)) && !is_of_the_connection(&said("OOM", "")));
    }
}
