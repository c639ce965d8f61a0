//! `GET …/attendance`: who was there and when, as JSON or as CSV that a spreadsheet can open without harm.
#![expect(unused_qualifications, reason = "what `utoipa::path` writes names parameters in full")]

use super::{
    extract::{Bearer, Classroom, Params, limit},
    problem::{Kind, Problem},
};
use crate::{
    deps::Deps,
    flows::attendance::{Page, attendance},
    ports::session_store::Stay,
};
use axum::{
    Json,
    extract::State,
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT, CONTENT_TYPE, LINK, VARY},
    },
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use presence_api::http::{Attendance, Stay as StayShown};
use presence_core::{
    ids::{ClassroomId, SessionId},
    page::Limit,
    time::UnixMicros,
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    Json,
    Csv,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AttendanceParams {
    /// The `next` of the page before.
    #[param(default = 0)]
    after: Option<i64>,
    /// How many stays to list, at most.
    #[param(default = 1000, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `json` or `csv`; without it, `Accept` decides.
    #[param(value_type = Option<String>, example = "csv")]
    format: Option<Format>,
}

/// Who was present in a classroom, and when: stays that ended and stays that last, in the order of session ids.
#[utoipa::path(
    get,
    path = "/api/v1/classrooms/{classroom_id}/attendance",
    operation_id = "attendance",
    tag = "classrooms",
    params(("classroom_id" = String, Path, description = "1 to 64 characters of `A-Z a-z 0-9 _ -`"), AttendanceParams),
    responses(
        (status = 200, description = "A page of stays; `Link` with rel=\"next\" leads to the one after it", content(
            (ref("#/components/schemas/Attendance") = "application/json"),
            (String = "text/csv"),
        ), headers(("link" = String, description = "The next page, if there is one"))),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
        (status = "5XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
pub(super) async fn get(
    State(deps): State<Arc<Deps>>,
    Classroom(classroom): Classroom,
    Params(params): Params<AttendanceParams>,
    Bearer(token): Bearer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = limit(params.limit)?;
    let after = SessionId(params.after.unwrap_or(0));
    let format = params.format.unwrap_or_else(|| accepted(&headers));
    let page = attendance(&deps, &token, classroom.clone(), after, limit).await?;
    let next = page.next.map(|next| next_link(&classroom, next, limit, format));
    let mut response = match format {
        Format::Json => Json(document(&page)).into_response(),
        Format::Csv => {
            let csv = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
            ([(CONTENT_TYPE, csv)], table(&page)?).into_response()
        }
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    if let Some(next) = next {
        response.headers_mut().insert(LINK, next);
    }
    Ok(response)
}

/// What the caller would rather read. JSON, unless CSV is named and JSON is not named before it.
fn accepted(headers: &HeaderMap) -> Format {
    let mut types = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|entry| entry.split(';').next().unwrap_or(entry).trim());
    match types.find(|name| ["text/csv", "application/json"].contains(name)) {
        Some("text/csv") => Format::Csv,
        Some(_) | None => Format::Json,
    }
}

fn next_link(classroom: &ClassroomId, next: SessionId, limit: Limit, format: Format) -> HeaderValue {
    let format = match format {
        Format::Json => "json",
        Format::Csv => "csv",
    };
    let limit = limit.get();
    let target =
        format!("/api/v1/classrooms/{classroom}/attendance?after={next}&limit={limit}&format={format}");
    HeaderValue::from_str(&format!("<{target}>; rel=\"next\""))
        .expect("a classroom id, numbers and words are visible ASCII")
}

fn document(page: &Page) -> Attendance {
    Attendance { next: page.next.map(|next| next.0), stays: page.stays.iter().map(shown).collect() }
}

fn shown(stay: &Stay) -> StayShown {
    StayShown {
        session_id: stay.session_id.0,
        agent_id: stay.agent_id.to_string(),
        entered_at: rfc3339(stay.entered_at),
        left_at: stay.left_at.map(rfc3339),
    }
}

/// A store's moment, in UTC. One outside of the calendar is the calendar's end.
fn rfc3339(at: UnixMicros) -> String {
    let end = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(at.0).unwrap_or(end).to_string()
}

fn table(page: &Page) -> Result<Vec<u8>, Problem> {
    let write = || -> Result<Vec<u8>, csv::Error> {
        // Quoted, so that a spreadsheet with another separator does not cut an id in two.
        let mut table =
            csv::WriterBuilder::new().quote_style(csv::QuoteStyle::NonNumeric).from_writer(Vec::new());
        table.write_record(["session_id", "agent_id", "entered_at", "left_at"])?;
        for stay in &page.stays {
            table.write_record([
                stay.session_id.to_string(),
                harmless(stay.agent_id.as_str()),
                rfc3339(stay.entered_at),
                stay.left_at.map(rfc3339).unwrap_or_default(),
            ])?;
        }
        table.into_inner().map_err(|error| error.into_error().into())
    };
    write().map_err(|error| {
        tracing::error!(%error, "attendance cannot be written as CSV");
        Kind::Internal.into()
    })
}

/// A cell that a spreadsheet does not take for a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
