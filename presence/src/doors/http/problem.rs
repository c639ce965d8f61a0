//! Errors as RFC 9457 problem documents: a closed list of names, each a URN, each with one status.

use crate::{flows::admission::Error, ports::Fault};
use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use presence_api::http::Problem as Document;

/// What went wrong. `detail` says which field, and what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: Kind,
    pub detail: Option<String>,
}

macro_rules! kinds {
    ($($kind:ident => $name:literal, $title:literal, $status:ident, $meaning:literal;)+) => {
        /// The closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $(#[doc = $meaning] $kind,)+ }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The last part of the problem's `type`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)+ }
            }

            pub const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)+ }
            }

            /// What it means and what to do, for `docs/ERRORS.md`.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$kind => $meaning,)+ }
            }
        }
    };
}

kinds! {
    InvalidRequest => "invalid_request", "Invalid request", BAD_REQUEST,
        "A part of the request is missing or outside its grammar; `detail` names it.";
    Unauthenticated => "unauthenticated", "Unauthenticated", UNAUTHORIZED,
        "There is no bearer token, or it is not one this service trusts for now.";
    AccessDenied => "access_denied", "Access denied", FORBIDDEN,
        "The token is good, but not for this.";
    NotFound => "not_found", "Not found", NOT_FOUND,
        "There is nothing at this path.";
    MethodNotAllowed => "method_not_allowed", "Method not allowed", METHOD_NOT_ALLOWED,
        "The path exists, but not for this method; `Allow` lists those it exists for.";
    Conflict => "conflict", "Conflict", CONFLICT,
        "The replica is not in a state for this; `detail` says why.";
    PayloadTooLarge => "payload_too_large", "Payload too large", PAYLOAD_TOO_LARGE,
        "The body is longer than 64 KiB.";
    UnsupportedMediaType => "unsupported_media_type", "Unsupported media type", UNSUPPORTED_MEDIA_TYPE,
        "The body is not `application/json`.";
    Internal => "internal_server_error", "Internal server error", INTERNAL_SERVER_ERROR,
        "A fault of the server; its log has the details.";
    Unavailable => "unavailable", "Unavailable", SERVICE_UNAVAILABLE,
        "The service cannot answer now. Try again after `Retry-After` seconds.";
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: Some(detail.into()) }
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, detail)
    }
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self { kind, detail: None }
    }
}

/// A flow's error ends here, so here it is logged.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated(why) => {
                tracing::debug!(why, "token refused");
                Self::new(Kind::Unauthenticated, "the token is not trusted")
            }
            Error::Denied => Kind::AccessDenied.into(),
            Error::Unavailable(why) => {
                tracing::warn!("{why}");
                Kind::Unavailable.into()
            }
            Error::Store(Fault::Unavailable { what, source }) => {
                tracing::warn!(error = &*source, "{what} is unavailable");
                Kind::Unavailable.into()
            }
            Error::Store(Fault::Failed { what, source }) => {
                tracing::error!(error = &*source, "{what} failed");
                Kind::Internal.into()
            }
        }
    }
}

/// Seconds after which to try again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("2");

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = self.kind;
        let challenge = match &self.detail {
            Some(_) => HeaderValue::from_static("Bearer realm=\"presence\", error=\"invalid_token\""),
            None => HeaderValue::from_static("Bearer realm=\"presence\""),
        };
        let document = Document {
            kind: format!("urn:presence:problem:{}", kind.name()),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail: self.detail,
        };
        let mut response = (kind.status(), Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if kind == Kind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if kind == Kind::Unavailable {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        response
    }
}
