//! The parts of a request, parsed once. What does not parse is a problem document that names the part.

use super::problem::{Kind, Problem};
use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
};
use presence_core::{ids::ClassroomId, page::Limit};
use serde::de::DeserializeOwned;

/// The classroom in the path.
#[derive(Debug)]
pub(super) struct Classroom(pub(super) ClassroomId);

impl<S: Send + Sync> FromRequestParts<S> for Classroom {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::invalid("classroom_id is not UTF-8"))?;
        let id = text.parse().map_err(|error| Problem::invalid(format!("{error}")))?;
        Ok(Self(id))
    }
}

/// The bearer token. It is not in its own `Debug`.
pub(in crate::doors) struct Bearer(pub(in crate::doors) String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(…)")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut given = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (given.next(), given.next()) else {
            return Err(Kind::Unauthenticated.into());
        };
        let text = header.to_str().map_err(|_| Kind::Unauthenticated)?;
        match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
                Ok(Self(token.trim().to_owned()))
            }
            Some(_) | None => Err(Kind::Unauthenticated.into()),
        }
    }
}

/// The query string.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                Err(Problem::invalid(error.body_text()))
            }
            Err(_) => Err(Problem::invalid("the query string cannot be read")),
        }
    }
}

/// The body, as JSON.
#[derive(Debug)]
pub(in crate::doors) struct Body<T>(pub(in crate::doors) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Kind::UnsupportedMediaType.into()),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Kind::PayloadTooLarge.into())
            }
            Err(error) => Err(Problem::invalid(error.body_text())),
        }
    }
}

/// How many items a page may hold.
pub(super) fn limit(limit: Option<u32>) -> Result<Limit, Problem> {
    let Some(limit) = limit else {
        return Ok(Limit::default());
    };
    Limit::new(limit).ok_or_else(|| Problem::invalid("limit must be a whole number from 1 to 1000"))
}
