//! `log_out`: a user is no longer there for anybody, says so itself, and its org's managers hear it.

use super::{client::Client, connect::closed, notice::tell_org, refusal::Refusal};
use crate::{engine::Engine, ports::notices::Notice};
use presence_api::lesson::Code;

/// `user_id` and `org_id` are the message's.
#[tracing::instrument(skip_all)]
pub async fn log_out(engine: &Engine, client: &Client, user_id: &str, org_id: &str) -> Result<(), Refusal> {
    let apps = engine.apps.as_ref().ok_or_else(closed)?;
    let socket = &client.socket;
    if user_id != socket.user_id.as_str() {
        return Err(Refusal::new(Code::Forbidden, "user_id is not the token's"));
    }
    if org_id != socket.org_id.as_str() {
        return Err(Refusal::new(Code::Forbidden, "org_id is not the token's"));
    }
    apps.state.log_out(&socket.org_id, &socket.user_id).await?;
    let notice = Notice::LogOut { org_id: socket.org_id.clone(), user_id: socket.user_id.clone() };
    tell_org(engine, apps, &notice).await;
    Ok(())
}
