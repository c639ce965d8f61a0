//! `GET …/agents` and `POST …/counters/agent`: who is present, and how many.
#![expect(unused_qualifications, reason = "what `utoipa::path` writes names parameters in full")]

use super::{
    extract::{Bearer, Body, Classroom, Params, limit},
    problem::Problem,
};
use crate::{
    deps::Deps,
    flows::{count_agents::count_agents, list_agents::list_agents},
    ports::session_store::Present,
};
use axum::{Json, extract::State};
use presence_api::http::{Agent, Counters, CountersRequest};
use presence_core::{
    ids::{ClassroomId, SessionId},
    page::MAX_LIMIT,
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AgentsParams {
    /// The session id of the last agent that the caller has seen.
    #[param(default = 0)]
    sequence_id: Option<i64>,
    /// How many agents to list, at most.
    #[param(default = 1000, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Who is present in a classroom, in the order of session ids.
#[utoipa::path(
    get,
    path = "/api/v1/classrooms/{classroom_id}/agents",
    operation_id = "list_agents",
    tag = "classrooms",
    params(("classroom_id" = String, Path, description = "1 to 64 characters of `A-Z a-z 0-9 _ -`"), AgentsParams),
    responses(
        (status = 200, description = "The agents", body = ref("#/components/schemas/Agents")),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
        (status = "5XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    Classroom(classroom): Classroom,
    Params(params): Params<AgentsParams>,
    Bearer(token): Bearer,
) -> Result<Json<Vec<Agent>>, Problem> {
    let after = SessionId(params.sequence_id.unwrap_or(0));
    let limit = limit(params.limit)?;
    let agents = list_agents(&deps, &token, classroom, after, limit).await?;
    Ok(Json(agents.iter().map(shown).collect()))
}

fn shown(present: &Present) -> Agent {
    Agent { id: present.session_id.0, agent_id: present.agent_id.to_string() }
}

/// How many agents are present in each of several classrooms. A classroom without any is not in the answer.
#[utoipa::path(
    post,
    path = "/api/v1/counters/agent",
    operation_id = "count_agents",
    tag = "classrooms",
    request_body(content = ref("#/components/schemas/CountersRequest"), description = "Up to 1000 classrooms",
                 content_type = "application/json"),
    responses(
        (status = 200, description = "Agents per classroom", body = ref("#/components/schemas/Counters")),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
        (status = "5XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
pub(super) async fn count(
    State(deps): State<Arc<Deps>>,
    Bearer(token): Bearer,
    Body(request): Body<CountersRequest>,
) -> Result<Json<Counters>, Problem> {
    let classrooms = classrooms(&request.classroom_ids)?;
    let counts = count_agents(&deps, &token, &classrooms).await?;
    let counters = counts.into_iter().filter(|(_, count)| *count > 0);
    Ok(Json(counters.map(|(id, count)| (id.to_string(), count)).collect()))
}

/// The classrooms asked for, each once.
fn classrooms(texts: &[String]) -> Result<Vec<ClassroomId>, Problem> {
    if texts.len() > MAX_LIMIT as usize {
        return Err(Problem::invalid(format!("classroom_ids must hold at most {MAX_LIMIT}")));
    }
    let parse = |(index, text): (usize, &String)| {
        text.parse::<ClassroomId>()
            .map_err(|error| Problem::invalid(format!("classroom_ids[{index}] must be {}", error.expected)))
    };
    let mut ids = texts.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
