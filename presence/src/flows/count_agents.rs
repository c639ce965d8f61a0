//! How many are in each of several classrooms.

use super::admission::{Error, admit};
use crate::{
    deps::Deps,
    ports::authz::{Action, Object},
};
use presence_core::ids::ClassroomId;

/// Agents per classroom; a classroom without any is left out.
pub async fn count_agents(
    deps: &Deps,
    token: &str,
    classrooms: &[ClassroomId],
) -> Result<Vec<(ClassroomId, u64)>, Error> {
    admit(deps, token, Action::Read, &Object::AllClassrooms).await?;
    if classrooms.is_empty() {
        return Ok(Vec::new());
    }
    Ok(deps.store.counts(classrooms).await?)
}
