//! `GET` from a server's ports, and what is in its metrics.

use anyhow::{Context, Result, bail};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Longer than any metrics page of ours.
const LONGEST: u64 = 4 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// The body, if the answer is 200.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<String> {
    bounded(address, path, "").await
}

/// The same, with a token.
pub(crate) async fn get_as(address: SocketAddr, path: &str, token: &str) -> Result<String> {
    bounded(address, path, &format!("Authorization: Bearer {token}\r\n")).await
}

async fn bounded(address: SocketAddr, path: &str, more: &str) -> Result<String> {
    tokio::time::timeout(PATIENCE, exchange(address, path, more))
        .await
        .with_context(|| format!("GET {path}: no answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("GET {path}"))
}

async fn exchange(address: SocketAddr, path: &str, more: &str) -> Result<String> {
    let mut tcp = TcpStream::connect(address).await?;
    // HTTP/1.0, so that the body is not chunked and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{more}\r\n");
    tcp.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    tcp.take(LONGEST).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of head")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{status}");
    }
    Ok(body.to_owned())
}

/// The sum over all label sets of the metrics whose name contains `name`; none where there is none.
pub(crate) fn metric(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let values: Vec<f64> = samples
        .filter(|line| line.split(['{', ' ']).next().is_some_and(|found| found.contains(name)))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# HELP a_store_statements x\na_store_statements_total{of=\"b c\"} 3\na_store_statements_total 4\nother 9\n";
        assert_eq!(metric(text, "store_statements"), Some(7.0));
        assert_eq!(metric(text, "absent"), None);
    }
}
