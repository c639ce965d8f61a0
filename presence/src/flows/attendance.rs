//! Who was in a classroom, and when: history and the present, a page at a time.

use super::admission::{Error, admit};
use crate::{
    deps::Deps,
    ports::{
        authz::{Action, Object},
        session_store::Stay,
    },
};
use presence_core::{
    ids::{ClassroomId, SessionId},
    page::Limit,
};

/// A page of stays. `next` is where the page after it begins; `None` on the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub stays: Vec<Stay>,
    pub next: Option<SessionId>,
}

/// The stays in `classroom` whose session id is above `after`.
pub async fn attendance(
    deps: &Deps,
    token: &str,
    classroom: ClassroomId,
    after: SessionId,
    limit: Limit,
) -> Result<Page, Error> {
    let object = Object::Classroom(classroom.clone());
    admit(deps, token, Action::Read, &object).await?;
    let stays = deps.store.attendance(&classroom, after, limit).await?;
    let next = match stays.last() {
        Some(last) if stays.len() >= limit.get() as usize => {
            // The page is full: whether it is also the last one only the store can say.
            let one = Limit::new(1).expect("1 is between 1 and the largest page");
            let more = deps.store.attendance(&classroom, last.session_id, one).await?;
            (!more.is_empty()).then_some(last.session_id)
        }
        Some(_) | None => None,
    };
    Ok(Page { stays, next })
}
