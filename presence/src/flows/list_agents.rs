//! Who is in a classroom, a page at a time.

use super::admission::{Error, admit};
use crate::{
    deps::Deps,
    ports::{
        authz::{Action, Object},
        session_store::Present,
    },
};
use presence_core::{
    ids::{ClassroomId, SessionId},
    page::Limit,
};

/// The agents of `classroom` whose session id is above `after`.
pub async fn list_agents(
    deps: &Deps,
    token: &str,
    classroom: ClassroomId,
    after: SessionId,
    limit: Limit,
) -> Result<Vec<Present>, Error> {
    let object = Object::Classroom(classroom.clone());
    admit(deps, token, Action::Read, &object).await?;
    Ok(deps.store.agents(&classroom, after, limit).await?)
}
