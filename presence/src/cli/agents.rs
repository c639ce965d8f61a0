//! `presence agents`: who is present, as the HTTP API tells it, page after page.

use super::{Failure, access::Access, join::text::printable};
use presence_api::http::{Agent, Problem};
use presence_core::{ids::ClassroomId, page::MAX_LIMIT};
use reqwest::{Client, Response, StatusCode};
use std::{io::Write, time::Duration};
use tokio::runtime;

/// How long one page may take.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn run(classroom: &ClassroomId, access: &Access<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other("start the runtime", error))?;
    runtime.block_on(list(classroom, access, out))
}

async fn list(classroom: &ClassroomId, access: &Access<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::builder()
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| Failure::other("start the HTTP client", error))?;
    let token = access.token()?;
    let mut after = 0;
    loop {
        let path = format!("api/v1/classrooms/{classroom}/agents?sequence_id={after}&limit={MAX_LIMIT}");
        let request = client.get(access.http(&path)?).bearer_auth(token.expose());
        let response = request
            .send()
            .await
            .map_err(|error| Failure::unavailable("ask the server", error.without_url()))?;
        let agents = page(response).await?;
        for agent in &agents {
            writeln!(out, "{}\t{}", agent.id, printable(&agent.agent_id))?;
        }
        // Ids grow: a server that says otherwise is not asked for ever.
        match agents.last() {
            Some(last) if agents.len() == MAX_LIMIT as usize && last.id > after => after = last.id,
            Some(_) | None => return Ok(()),
        }
    }
}

async fn page(response: Response) -> Result<Vec<Agent>, Failure> {
    let status = response.status();
    if status == StatusCode::OK {
        let agents = response.json().await;
        return agents.map_err(|error| Failure::other("read the server's answer", error.without_url()));
    }
    let what = match response.json::<Problem>().await {
        Ok(Problem { title, detail: Some(detail), .. }) => format!("{title}: {detail}"),
        Ok(Problem { title, detail: None, .. }) => title,
        Err(_) => format!("the server answered {status}"),
    };
    Err(Failure::plain(printable(&what)))
}
