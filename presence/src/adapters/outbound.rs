//! HTTP that this process starts itself, for keys and for decisions: where it may go, how long, and how much it reads.
//!
//! Never follows a redirect (an answer cannot send us to an address nobody configured) and never prints a URL's query.

use reqwest::{Client, Response, redirect};
use std::{error::Error, fmt::Write as _, time::Duration};
use url::{Host, Url};

#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is not shown: it may hold a secret in a place where none is looked for.
    #[error("the address is no http or https URL (expected something like https://iam.example.org/jwks)")]
    Malformed,
    #[error("the URL of {0} holds a user name or a password; credentials come from files")]
    Credentials(String),
    #[error("the URL of {0} is not https; plain http is for loopback, or with `allow_http`")]
    Plain(String),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
}

/// A URL that is safe to send requests to.
pub(super) fn parse_url(text: &str, allow_http: bool) -> Result<Url, UrlError> {
    let url = Url::parse(text).map_err(|_| UrlError::Malformed)?;
    let host = url.host_str().ok_or(UrlError::Malformed)?.to_owned();
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials(host));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http || is_loopback(&url) => Ok(url),
        "http" => Err(UrlError::Plain(host)),
        _ => Err(UrlError::Malformed),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A client for one URL. `whole` bounds a request from connecting to the last byte of its answer.
pub(super) fn client(url: &Url, whole: Duration) -> Result<Client, reqwest::Error> {
    super::crypto::install_crypto_provider();
    let builder = Client::builder()
        .user_agent(concat!("presence/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(whole.min(Duration::from_secs(2)))
        .timeout(whole);
    // A proxy from the environment cannot reach this machine's loopback.
    let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
    builder.build()
}

/// An error and all that caused it, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("writing to a string cannot fail");
        cause = error.source();
    }
    text
}

/// The whole body, or an error once it grows past `limit`.
pub(super) async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| ReadError::Broken(e.without_url()))? {
        if body.len() + chunk.len() > limit {
            return Err(ReadError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_only_to_loopback_unless_allowed() {
        for good in [
            "https://iam.example.org/jwks",
            "http://localhost:9/x",
            "http://127.0.0.9/x",
            "http://[::1]:80/x",
        ] {
            assert!(parse_url(good, false).is_ok(), "{good}");
        }
        for bad in [
            "http://iam.example.org/jwks",
            "http://10.0.0.1/",
            "http://localhost.example.org/",
            "http://127.0.0.1.example.org/",
        ] {
            assert!(matches!(parse_url(bad, false), Err(UrlError::Plain(_))), "{bad}");
            assert!(parse_url(bad, true).is_ok(), "{bad}");
        }
        for bad in ["", "iam.example.org", "file:///etc/passwd", "ftp://a/b", "data:,x"] {
            assert!(parse_url(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_shows_neither_credentials_nor_query() {
        for text in ["https://me:hunter2@iam.example.org/", "nonsense?key=hunter2", "me:hunter2@x"] {
            let error = parse_url(text, false).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
        }
    }
}
