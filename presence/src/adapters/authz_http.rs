//! The `Authz` port by asking a service: the request that foxford's `presence` makes through `svc-authz`, and the
//! answer it reads. The body of a 200 lists the actions that are allowed; a 403 denies; all else decides nothing.
//!
//! Never lets anybody in because it could not ask.

use super::{
    authz_cache::{Decisions, Question},
    outbound::{self, UrlError},
};
use crate::ports::{
    authn::Identity,
    authz::{Action, Authz, Error, Object},
    clock::Clock,
};
use async_trait::async_trait;
use presence_core::time::Time;
use reqwest::{
    Client, Response, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use serde::Serialize;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};
use url::Url;

pub use super::authz_cache::CacheOptions;

/// An answer is a short list; more is no answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub struct HttpAuthzOptions {
    pub url: String,
    /// Plain http to elsewhere than loopback: whoever is on the way decides.
    pub allow_http: bool,
    /// Whose the objects are, as `presence.svc.example.org`.
    pub object_namespace: String,
    /// Holds the bearer token that says who asks. Read for each question, so that it may be rotated.
    pub token_file: Option<PathBuf>,
    /// For a whole question: waiting for a turn, asking, reading the answer.
    pub timeout: Duration,
    /// Questions asked at the same time. More wait for a turn, within `timeout`.
    pub concurrency: usize,
    pub cache: CacheOptions,
}

impl HttpAuthzOptions {
    pub const fn new(url: String, object_namespace: String) -> Self {
        Self {
            url,
            allow_http: false,
            object_namespace,
            token_file: None,
            timeout: Duration::from_secs(5),
            concurrency: 64,
            cache: CacheOptions::DEFAULT,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("authorisation URL")]
    Url(#[from] UrlError),
    #[error("make an HTTP client for authorisation")]
    Client(#[source] reqwest::Error),
    #[error("read the authorisation token in {}", path.display())]
    Token { path: PathBuf, source: io::Error },
    #[error("authorisation needs at least one question at a time")]
    Concurrency,
}

#[derive(Debug)]
pub struct HttpAuthz {
    client: Client,
    url: Url,
    object_namespace: String,
    token_file: Option<PathBuf>,
    timeout: Duration,
    turns: Semaphore,
    decisions: Decisions,
    clock: Arc<dyn Clock>,
    /// When it was last logged that there is no decision.
    complained: Mutex<Option<Time>>,
}

#[derive(Serialize)]
struct Request<'a> {
    subject: Named<'a, &'a str>,
    object: Named<'a, Vec<&'a str>>,
    action: &'static str,
}

#[derive(Serialize)]
struct Named<'a, T> {
    namespace: &'a str,
    value: T,
}

/// Why there is no decision. For the log: the port says only that there is none.
#[derive(Debug, thiserror::Error)]
enum Undecided {
    #[error("read the token file")]
    Token(#[source] io::Error),
    #[error("no answer in time")]
    Slow,
    #[error("send the request")]
    Send(#[source] reqwest::Error),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("read the answer")]
    Body(#[from] outbound::ReadError),
    #[error("the answer is no list of actions")]
    Answer,
}

impl HttpAuthz {
    pub async fn new(options: HttpAuthzOptions, clock: Arc<dyn Clock>) -> Result<Self, OptionsError> {
        let url = outbound::parse_url(&options.url, options.allow_http)?;
        if options.concurrency == 0 {
            return Err(OptionsError::Concurrency);
        }
        if let Some(path) = &options.token_file {
            read_bearer(path).await.map_err(|source| OptionsError::Token { path: path.clone(), source })?;
        }
        Ok(Self {
            client: outbound::client(&url, options.timeout).map_err(OptionsError::Client)?,
            url,
            object_namespace: options.object_namespace,
            token_file: options.token_file,
            timeout: options.timeout,
            turns: Semaphore::new(options.concurrency.min(Semaphore::MAX_PERMITS)),
            decisions: Decisions::new(options.cache, Arc::clone(&clock)),
            clock,
            complained: Mutex::new(None),
        })
    }

    async fn ask(&self, question: &Question) -> Result<bool, Undecided> {
        let _turn = self.turns.acquire().await.map_err(|_| Undecided::Slow)?;
        let mut request = self.client.post(self.url.clone()).json(&self.request(question));
        if let Some(path) = &self.token_file {
            let bearer = read_bearer(path).await.map_err(Undecided::Token)?;
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = request.send().await.map_err(|e| Undecided::Send(e.without_url()))?;
        decide(response, question.action).await
    }

    /// Logs at most once a second: an outage during a connect storm is one thing to say, not ten thousand.
    fn complain(&self, undecided: &Undecided) {
        let now = self.clock.now();
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.since(last) >= 1000) {
            *last = Some(now);
            drop(last);
            let error = outbound::chain(undecided);
            tracing::warn!(error, "the authorisation service gave no decision");
        }
    }

    fn request<'a>(&'a self, question: &'a Question) -> Request<'a> {
        let value = match &question.object {
            Object::Classroom(id) => vec!["classrooms", id.as_str()],
            Object::AllClassrooms => vec!["classrooms"],
        };
        Request {
            subject: Named { namespace: question.audience.as_str(), value: question.account.as_str() },
            object: Named { namespace: &self.object_namespace, value },
            action: question.action.as_str(),
        }
    }
}

#[async_trait]
impl Authz for HttpAuthz {
    async fn authorize(&self, who: &Identity, action: Action, object: &Object) -> Result<(), Error> {
        let question = Question {
            audience: who.audience.clone(),
            account: who.account.clone(),
            action,
            object: object.clone(),
        };
        let allowed = if let Some(allowed) = self.decisions.recall(&question) {
            allowed
        } else {
            let answer = timeout(self.timeout, self.ask(&question)).await;
            let allowed = answer.unwrap_or(Err(Undecided::Slow)).map_err(|undecided| {
                self.complain(&undecided);
                Error::Unavailable
            })?;
            self.decisions.remember(question, allowed);
            allowed
        };
        if allowed { Ok(()) } else { Err(Error::Denied) }
    }
}

async fn decide(response: Response, action: Action) -> Result<bool, Undecided> {
    match response.status() {
        StatusCode::FORBIDDEN => return Ok(false),
        StatusCode::OK => {}
        other => return Err(Undecided::Status(other)),
    }
    let body = outbound::read_body(response, MAX_ANSWER_BYTES).await?;
    let allowed: Vec<String> = serde_json::from_slice(&body).map_err(|_| Undecided::Answer)?;
    Ok(allowed.iter().any(|one| one == action.as_str()))
}

async fn read_bearer(path: &Path) -> io::Result<HeaderValue> {
    let invalid = |why: &'static str| io::Error::new(io::ErrorKind::InvalidData, why);
    let token = tokio::fs::read_to_string(path).await?;
    let token = token.trim();
    if token.is_empty() {
        return Err(invalid("the file is empty"));
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| invalid("the file holds characters that no token has"))?;
    header.set_sensitive(true);
    Ok(header)
}
