//! How a replica is operated: drain, undrain, shed, accept, and the numbers that say how far it is. Every change may be
//! repeated, and is answered with the numbers right after it; what it asks for happens by itself.

use crate::{
    doors::http::{
        extract::Body,
        problem::{Kind, Problem},
    },
    lifecycle::drain::{Drainer, Refused},
};
use axum::{Json, extract::State};
use presence_api::admin::{Accepting, ShedRequest, Stats};
use std::sync::Arc;

/// The most that one shed may tell: whoever wants more asks again, and sees how it went.
const MAX_SHED: u32 = 10_000;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::new(Kind::Conflict, refused.to_string())
    }
}

/// How far this replica is with letting go, how many agents it has, and whether it may be deleted.
#[utoipa::path(
    get,
    path = "/api/v1/stats",
    operation_id = "stats",
    tag = "replica",
    responses(
        (status = 200, description = "The numbers", body = ref("#/components/schemas/Stats")),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
pub(super) async fn stats(State(drainer): State<Arc<Drainer>>) -> Json<Stats> {
    Json(drainer.stats().await)
}

/// Take nobody any more, tell every agent to connect elsewhere, and close what is left when the time is up.
#[utoipa::path(
    post,
    path = "/api/v1/drain",
    operation_id = "drain",
    tag = "replica",
    responses(
        (status = 200, description = "It has begun, or had", body = ref("#/components/schemas/Stats")),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
pub(super) async fn drain(State(drainer): State<Arc<Drainer>>) -> Json<Stats> {
    drainer.drain();
    Json(drainer.stats().await)
}

/// Call a drain off: whoever has not gone may stay, and newcomers are taken again.
#[utoipa::path(
    post,
    path = "/api/v1/undrain",
    operation_id = "undrain",
    tag = "replica",
    responses(
        (status = 200, description = "It serves", body = ref("#/components/schemas/Stats")),
        (status = 409, description = "The process is ending", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
pub(super) async fn undrain(State(drainer): State<Arc<Drainer>>) -> Result<Json<Stats>, Problem> {
    drainer.undrain()?;
    Ok(Json(drainer.stats().await))
}

/// Tell some agents, chosen by chance, to connect elsewhere. Whoever does not go may stay, and is counted.
#[utoipa::path(
    post,
    path = "/api/v1/shed",
    operation_id = "shed",
    tag = "replica",
    request_body(content = ref("#/components/schemas/ShedRequest"), description = "How many",
                 content_type = "application/json"),
    responses(
        (status = 200, description = "It has begun", body = ref("#/components/schemas/Stats")),
        (status = 409, description = "The replica drains, or a shed is under way",
         content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
pub(super) async fn shed(
    State(drainer): State<Arc<Drainer>>,
    Body(request): Body<ShedRequest>,
) -> Result<Json<Stats>, Problem> {
    if !(1..=MAX_SHED).contains(&request.agents) {
        return Err(Problem::invalid(format!("agents must be a whole number from 1 to {MAX_SHED}")));
    }
    drainer.shed(request.agents)?;
    Ok(Json(drainer.stats().await))
}

/// Say whether this replica may ask for new agents. Those that come all the same are taken.
#[utoipa::path(
    put,
    path = "/api/v1/accepting",
    operation_id = "set_accepting",
    tag = "replica",
    request_body(content = ref("#/components/schemas/Accepting"), description = "Whether it may",
                 content_type = "application/json"),
    responses(
        (status = 200, description = "It is so", body = ref("#/components/schemas/Stats")),
        (status = "4XX", description = "A problem", content_type = "application/problem+json",
         body = ref("#/components/schemas/Problem")),
    ),
)]
pub(super) async fn accepting(
    State(drainer): State<Arc<Drainer>>,
    Body(request): Body<Accepting>,
) -> Json<Stats> {
    drainer.accept(request.accepting);
    Json(drainer.stats().await)
}
