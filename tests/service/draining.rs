//! The internal API that lets agents go: waves, a way back, shedding, and numbers that never claim more than is known.

use presence_api::admin::{State, Stats};
use presence_api::frames::ServerFrame;
use presence_tests::{
    Agent, Frame, Result, Server, Socket, Stack, bail, ensure, http::Answer, scenarios,
    stack::INTERNAL_SECRET,
};
use reqwest::Method;
use serde_json::json;

scenarios! {
    both:
        agents_are_told_in_waves_once_nobody_is_sent_here_any_more,
        the_numbers_are_true_through_a_whole_life,
        a_drain_is_called_off_and_everybody_may_stay,
        whoever_is_shed_and_stays_is_counted_and_hears_on,
        stepping_back_is_a_matter_of_readiness_alone,
        wishes_that_cannot_be_granted_are_problems;
    full:
        a_replica_without_its_database_is_never_safe_to_delete;
}

async fn agents_are_told_in_waves_once_nobody_is_sent_here_any_more(stack: &mut Stack) -> Result<()> {
    stack.set("session.drain_rate", 4);
    stack.set("session.drain_timeout", "10m");
    let server = stack.start().await?;
    let mut agents = vec![];
    for index in 0..8 {
        let room = stack.classroom(&format!("room{index}"));
        agents.push(server.connect("ann", &room).await?);
    }
    server.drain().await?;
    ensure!(server.health("/readyz").await?.status == 503, "whoever is told is sent elsewhere");
    ensure!(Socket::open("too late", server.public).await.is_err(), "nobody enters any more");
    // Told one after the other: at the rate, since the deadline leaves all the time in the world.
    for told in [1, 4, 7] {
        let stats = server.expect_stats("the next wave", |stats| stats.told >= told).await?;
        ensure!(stats.told < 8 && stats.agents == 8 && stats.state == State::Draining, "{stats:?}");
    }
    for agent in &mut agents {
        let told = agent.socket.expect_recoverable("terminated").await?;
        let soon = told.reconnect_after_ms.is_some_and(|wait| wait < 1_000);
        ensure!(soon && told.reason.as_deref() == Some("shutdown"), "{told:?}");
    }
    for agent in agents {
        agent.close().await?;
    }
    let stats = server.expect_stats("to be drained", |stats| stats.state == State::Drained).await?;
    ensure!((stats.told, stats.agents, stats.waiting) == (8, 0, 0), "{stats:?}");
    let told = server.metric(r#"presence_drain_told_total{reason="shutdown"}"#).await?;
    ensure!(told == 8 && server.metric("presence_drain_state").await? == 2, "{told} told");
    Ok(())
}

async fn the_numbers_are_true_through_a_whole_life(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    stack.set("session.drain_timeout", "2s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let idle = server.stats().await?;
    let no_claim = !idle.safe_to_delete && !idle.ending && idle.accepting;
    ensure!(idle.state == State::Serving && no_claim && idle.sharing == 1, "{idle:?}");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    ben.vanish().await;
    server.expect_stats("ben to be waited for", |stats| (stats.agents, stats.waiting) == (1, 1)).await?;

    let draining = server.drain().await?;
    ensure!(draining.state == State::Draining && !draining.safe_to_delete, "{draining:?}");
    ensure!(draining.replica == idle.replica && draining.since > idle.since, "{idle:?}, {draining:?}");
    // Asked again, it is the same drain.
    let again = server.drain().await?;
    ensure!(again.since == draining.since, "{draining:?}, {again:?}");
    ann.socket.expect_recoverable("terminated").await?;
    ann.close().await?;
    // His agent may come back elsewhere as long as the drain lasts; then he has left.
    let drained = server.expect_stats("to be safe", |stats| stats.safe_to_delete).await?;
    let empty = (drained.agents, drained.waiting) == (0, 0);
    ensure!(drained.state == State::Drained && empty && drained.since > draining.since, "{drained:?}");
    stack.stop(&server).await?;
    let server = stack.start().await?;
    let stays = server.attendance(&room).await?;
    ensure!(stays.len() == 2 && stays.iter().all(|stay| stay.left_at.is_some()), "{stays:?}");
    Ok(())
}

async fn a_drain_is_called_off_and_everybody_may_stay(stack: &mut Stack) -> Result<()> {
    stack.set("session.drain_timeout", "5s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let unchanged = server.undrain().await?;
    ensure!(unchanged.state == State::Serving, "{unchanged:?}");
    server.drain().await?;
    ann.socket.expect_recoverable("terminated").await?;
    let stats = server.undrain().await?;
    ensure!(stats.state == State::Serving && stats.agents == 1 && !stats.safe_to_delete, "{stats:?}");
    server.expect_ready().await?;
    // She did not go, and hears on.
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    ben.close().await?;
    ann.expect_left("ben").await?;
    server.expect_present(&room, &["ann"]).await?;
    // Another drain is another one: she is told again, and has its time.
    let again = server.drain().await?;
    ensure!(again.state == State::Draining, "{again:?}");
    ann.socket.expect_recoverable("terminated").await?;
    ann.socket.expect_ending("terminated", 4001).await?;
    server.expect_stats("to be drained", |stats| stats.safe_to_delete).await?;
    // Even from there is a way back.
    server.undrain().await?;
    server.expect_ready().await?;
    server.connect("ann", &room).await?.close().await
}

async fn whoever_is_shed_and_stays_is_counted_and_hears_on(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let mut ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    server.shed(1).await?;
    let stats = server.expect_stats("the shed to end", |stats| !under_way(stats)).await?;
    let shed = stats.shed.as_ref().map(|shed| (shed.agents, shed.told, shed.stayed));
    ensure!(shed == Some((1, 1, 1)) && stats.state == State::Serving && stats.agents == 2, "{stats:?}");
    server.expect_ready().await?;
    // One of the two was told, and both hear the next event.
    let carl = server.connect("carl", &room).await?;
    let told = [asked_before(&mut ann, "carl").await?, asked_before(&mut ben, "carl").await?];
    ensure!(told.iter().filter(|told| **told).count() == 1, "{told:?}");
    carl.close().await?;
    // Of the next shed it is the other one's turn, and nobody is left for more.
    for agent in [&mut ann, &mut ben] {
        agent.expect_left("carl").await?;
    }
    server.shed(10).await?;
    let stats = server.expect_stats("the shed to end", |stats| !under_way(stats)).await?;
    let shed = stats.shed.as_ref().map(|shed| (shed.agents, shed.told, shed.stayed));
    ensure!(shed == Some((10, 1, 2)), "{stats:?}");
    let told = server.metric(r#"presence_drain_told_total{reason="rebalance"}"#).await?;
    ensure!(told == 2, "{told} told");
    Ok(())
}

fn under_way(stats: &Stats) -> bool {
    stats.shed.as_ref().is_some_and(|shed| shed.under_way)
}

/// Whether the agent was asked to go before it heard that this account entered.
pub(crate) async fn asked_before(agent: &mut Agent, marker: &str) -> Result<bool> {
    let marker = presence_tests::agent_id(marker);
    match agent.socket.next().await? {
        Frame::Event(event) if event.is("entered", &marker) => {
            agent.seq = event.seq;
            return Ok(false);
        }
        Frame::Said(ServerFrame::RecoverableSessionError(error)) => {
            let asked = error.kind == "terminated" && error.reason.as_deref() == Some("rebalance");
            ensure!(asked && error.reconnect_after_ms.is_some(), "{error:?}");
        }
        other => bail!("{} heard {other:?}", agent.id),
    }
    let event = agent.socket.expect("entered", &marker).await?;
    agent.seq = event.seq;
    Ok(true)
}

async fn stepping_back_is_a_matter_of_readiness_alone(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    for _ in 0..2 {
        ensure!(!server.accept(false).await?.accepting);
    }
    let ready = server.health("/readyz").await?;
    ensure!(ready.status == 503 && ready.body.contains(r#""accepting":false"#), "{ready:?}");
    server.connect("ann", &room).await?.close().await?;
    ensure!(server.accept(true).await?.accepting);
    server.expect_ready().await
}

async fn wishes_that_cannot_be_granted_are_problems(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let verbs = [
        (Method::GET, "stats"),
        (Method::POST, "drain"),
        (Method::POST, "undrain"),
        (Method::POST, "shed"),
        (Method::PUT, "accepting"),
    ];
    for (method, verb) in verbs {
        let url = format!("http://{}/api/v1/{verb}", server.internal);
        let request = || reqwest::Client::new().request(method.clone(), &url).json(&json!({ "agents": 1 }));
        for nobody in [request(), request().bearer_auth(server.token("ann")?)] {
            Answer::to(nobody).await?.problem(401)?;
        }
        let deleted = reqwest::Client::new().delete(&url).bearer_auth(INTERNAL_SECRET);
        Answer::to(deleted).await?.problem(405)?;
        // The public port does not know it at all.
        Answer::to(server.public(method.clone(), &format!("/api/v1/{verb}"))).await?.problem(404)?;
    }
    ensure!(server.stats().await?.state == State::Serving, "nothing came of it");
    for body in [json!({}), json!({ "agents": 0 }), json!({ "agents": 10_001 }), json!({ "agents": -1 })] {
        server.operate(Method::POST, "shed", Some(body)).await?.problem(400)?;
    }
    server.operate(Method::PUT, "accepting", Some(json!({ "accepting": "no" }))).await?.problem(400)?;
    let mut ann = server.connect("ann", &room).await?;
    server.drain().await?;
    let refused = server.operate(Method::POST, "shed", Some(json!({ "agents": 1 }))).await?.problem(409)?;
    ensure!(refused.detail.is_some_and(|detail| detail.contains("drains")));
    ann.socket.expect_recoverable("terminated").await?;
    ann.close().await
}

async fn a_replica_without_its_database_is_never_safe_to_delete(stack: &mut Stack) -> Result<()> {
    super::outages::expect_complaints(stack);
    stack.set("session.drain_timeout", "1s");
    let link = stack.link_database().await?;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    super::outages::cut(&link, &server, "store").await?;
    server.drain().await?;
    ann.socket.expect_recoverable("terminated").await?;
    ann.socket.expect_ending("terminated", 4001).await?;
    // Her socket is gone, and her session is not given up as long as the database does not hear of it.
    held_without_a_socket(&server).await?;
    presence_tests::eventually("the server to try again", async || {
        let tries = server.log.text()?.matches(r#""message":"release session""#).count();
        ensure!(tries >= 2, "{tries} tries");
        Ok(())
    })
    .await?;
    held_without_a_socket(&server).await?;
    link.heal();
    let stats = server.expect_stats("to be safe", |stats| stats.safe_to_delete).await?;
    ensure!(stats.state == State::Drained && stats.waiting == 0, "{stats:?}");
    Ok(())
}

async fn held_without_a_socket(server: &Server) -> Result<()> {
    let stats = server.expect_stats("her seat to be given up", |stats| stats.agents == 0).await?;
    ensure!(stats.state == State::Draining && stats.waiting == 1 && !stats.safe_to_delete, "{stats:?}");
    Ok(())
}
