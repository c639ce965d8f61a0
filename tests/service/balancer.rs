//! Classroom apps behind a balancer that knows no sticky sessions: each request reaches some replica, and is served by
//! the one that holds its connection. What becomes of them when that one, or the one in between, goes.

use futures_util::future::{join_all, try_join_all};
use presence_tests::{
    App, Balancer, Heard, Opening, Person, Result, Server, Stack, Way,
    app::{Polling, Refused, Stream, websocket},
    bail, ensure, eventually, scenarios,
    stack::INTERNAL_SECRET,
    within,
};
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

scenarios! {
    full:
        thousands_of_polls_reach_their_connections_by_any_replica,
        an_upgrade_lands_on_any_replica_and_leads_to_the_connection,
        whoever_polls_at_an_owner_that_was_killed_is_told_at_once,
        a_tunnel_to_an_owner_that_was_killed_ends_at_once,
        an_owner_that_drains_tells_its_clients_wherever_they_poll,
        a_replica_that_drains_ends_its_tunnels_and_then_itself,
        credentials_are_looked_at_by_the_owner_and_a_forged_marker_by_nobody,
        only_replicas_may_pass_requests_on;
}

const FAILURES: [&str; 5] = ["gone", "unreachable", "refused", "unanswered", "draining"];
const TUNNELS: &str = "presence_socketio_tunnels";

fn forwarded(outcome: &str) -> String {
    format!("presence_socketio_forwarded_total{{outcome=\"{outcome}\"}}")
}

async fn three(stack: &mut Stack) -> Result<[Server; 3]> {
    stack.use_redis().await?;
    let mut servers = vec![];
    for label in ["first", "second", "third"] {
        stack.set("replica.label", label);
        servers.push(stack.start().await?);
    }
    Ok(servers.try_into().expect("three were pushed"))
}

async fn balance(servers: &[Server]) -> Result<Balancer> {
    let targets: Vec<_> = servers.iter().map(|server| server.public).collect();
    Balancer::over(&targets).await
}

/// Each of them passed something on, and nothing that it passed on went wrong.
async fn expect_carried(servers: &[Server], outcome: &str) -> Result<()> {
    for server in servers {
        ensure!(server.metric(&forwarded(outcome)).await? > 0, "nothing was {outcome}");
        for failure in FAILURES {
            let failed = server.metric(&forwarded(failure)).await?;
            ensure!(failed == 0, "{failed} requests: {failure}");
        }
    }
    Ok(())
}

/// Asks for what there is not, so that only the way there and back is tried.
async fn ask(app: &mut App, person: &Person, times: usize) -> Result<()> {
    for time in 0..times {
        let code = app.ask_in_vain("join_lesson", &person.joining(&format!("no-lesson-{time}"))).await?;
        ensure!(!code.is_empty(), "no code");
    }
    Ok(())
}

fn students(count: usize) -> Vec<Person> {
    (0..count).map(|n| Person::student(&format!("student-{n}"), "school")).collect()
}

/// A connection of its own that polls at this replica, which is then its owner.
async fn polling(owner: &Server, person: &Person) -> Result<(Opening, String)> {
    let opening = owner.opening(person)?.by(Way::Polling);
    let handshake = App::knock(&person.user, owner.public, &opening).await?;
    let sid = handshake.handshake().sid.clone();
    // It waits for packets elsewhere from here on: the client that opened it must not.
    bail_if_empty(&sid)?;
    Ok((opening, sid))
}

fn bail_if_empty(sid: &str) -> Result<()> {
    ensure!(!sid.is_empty(), "a connection without an id");
    Ok(())
}
