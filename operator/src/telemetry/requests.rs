//! A layer on the client of the API server that counts requests by verb and by class of answer.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::http::{Method, Request, Response};
use tower::{Layer, Service};

use super::Metrics;

#[derive(Clone, Debug)]
pub struct CountRequests(pub Arc<Metrics>);

impl<S> Layer<S> for CountRequests {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner, metrics: Arc::clone(&self.0) }
    }
}

#[derive(Clone, Debug)]
pub struct Counting<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, In, Out> Service<Request<In>> for Counting<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let verb = verb(request.method(), request.uri().query().unwrap_or_default());
        let metrics = Arc::clone(&self.metrics);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = match &answer {
                Ok(response) => class(response.status().as_u16()),
                Err(_) => "none",
            };
            metrics.requested(verb, code);
            answer
        })
    }
}

/// As the API server's audit log calls it. A list is told by what our watches always ask with.
fn verb(method: &Method, query: &str) -> &'static str {
    let asks = |what: &str| query.split('&').any(|part| part.starts_with(what));
    match *method {
        Method::GET if asks("watch=") => "watch",
        Method::GET if asks("limit=") || asks("labelSelector=") => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

const fn class(code: u16) -> &'static str {
    match code {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_as_in_the_audit_log() {
        assert_eq!(verb(&Method::GET, "watch=true&limit=5"), "watch");
        assert_eq!(verb(&Method::GET, "&limit=500"), "list");
        assert_eq!(verb(&Method::GET, ""), "get");
        assert_eq!(verb(&Method::PATCH, "force=true&fieldManager=x"), "patch");
        assert_eq!((class(201), class(409), class(503)), ("2xx", "4xx", "5xx"));
    }
}
