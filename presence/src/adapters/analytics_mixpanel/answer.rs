//! What an answer of Mixpanel means for the reports of a request, and what is said of it in the log.

use crate::adapters::outbound;
use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use std::time::Duration;

/// An answer is a line; of a longer one nothing is read.
const MAX_BYTES: usize = 64 * 1024;
/// Of the words of an answer, as many are logged.
const MAX_WORDS: usize = 200;
/// Nobody is believed who wants more.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    /// Too much at once.
    TooLarge,
    /// It will not be accepted later either.
    Refused(String),
    /// It may be accepted later, but not sooner than this.
    Later {
        why: String,
        pause: Duration,
    },
}

/// What Mixpanel answers to `verbose=1`, and what it answers where something is wrong.
#[derive(Deserialize)]
struct Verbose {
    status: Option<serde_json::Value>,
    error: Option<String>,
}

pub(super) async fn outcome(sent: Result<Response, reqwest::Error>, token: &str) -> Outcome {
    let later = |why: String, pause| Outcome::Later { why, pause };
    let response = match sent {
        Ok(response) => response,
        Err(error) if error.is_builder() => return Outcome::Refused(outbound::chain(&error.without_url())),
        Err(error) => return later(outbound::chain(&error.without_url()), Duration::ZERO),
    };
    let (status, pause) = (response.status(), retry_after(&response));
    let body = outbound::read_body(response, MAX_BYTES).await;
    if status.is_success() {
        return match body {
            Ok(body) => accepted(&body, token),
            // It may have been accepted; to send it again does no harm.
            Err(outbound::ReadError::Broken(error)) => {
                later(outbound::chain(&error.without_url()), Duration::ZERO)
            }
            Err(outbound::ReadError::TooLarge(_)) => Outcome::Accepted,
        };
    }
    let why = match words(&body.unwrap_or_default(), token) {
        Some(words) => format!("answered {status}: {words}"),
        None => format!("answered {status}"),
    };
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Outcome::TooLarge,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => later(why, pause),
        _ if status.is_server_error() => later(why, pause),
        _ => Outcome::Refused(why),
    }
}

/// A success is believed unless it says that it is none: a site's own proxy may answer with nothing.
fn accepted(body: &[u8], token: &str) -> Outcome {
    let said: Option<serde_json::Value> = match serde_json::from_slice(body) {
        Ok(Verbose { status, .. }) => status,
        Err(_) => serde_json::from_slice(body).ok(),
    };
    if said.is_some_and(|status| status == 0) {
        return Outcome::Refused(
            words(body, token).unwrap_or_else(|| "answered that it is not valid".into()),
        );
    }
    Outcome::Accepted
}

/// In seconds. A date is not looked at: the pause is then the one that we choose.
fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get(RETRY_AFTER);
    let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs).min(LONGEST_PAUSE)
}

/// What an answer says is wrong, on one line, without the token that it may repeat.
fn words(body: &[u8], token: &str) -> Option<String> {
    let said: Verbose = serde_json::from_slice(body).ok()?;
    let words = said.error?.replace(token, "…");
    Some(words.chars().filter(|char| !char.is_control()).take(MAX_WORDS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_that_says_it_is_none_is_a_refusal() {
        for good in ["1", r#"{"status":1,"error":null}"#, r#"{"status":"OK","code":200}"#, "", "<html>", "[]"]
        {
            assert_eq!(accepted(good.as_bytes(), "t0ken"), Outcome::Accepted, "{good}");
        }
        for (bad, why) in [
            ("0", "answered that it is not valid"),
            (r#"{"status":0}"#, "answered that it is not valid"),
            (r#"{"status":0,"error":"token t0ken,\nunknown"}"#, "token …,unknown"),
        ] {
            assert_eq!(accepted(bad.as_bytes(), "t0ken"), Outcome::Refused(why.into()), "{bad}");
        }
    }

    #[test]
    fn what_is_logged_of_an_answer_is_short() {
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(10_000));
        assert_eq!(words(long.as_bytes(), "t0ken").map(|words| words.len()), Some(MAX_WORDS));
    }
}
