//! The internal API: whoever shows the shared secret may end a session.

use presence_api::http::{DeleteFailure, DeleteResponse};
use presence_tests::{
    Result, Server, Stack, agent_id, ensure, http::Answer, scenarios, stack::INTERNAL_SECRET,
};
use reqwest::Method;

scenarios! {
    both:
        nobody_ends_a_session_without_the_secret,
        while_a_secret_is_exchanged_the_other_one_is_taken_too,
        an_ended_session_is_told_and_its_classroom_hears_that_it_left,
        a_session_that_only_waits_for_its_agent_can_be_ended,
        an_unknown_session_is_not_found;
    full:
        a_session_on_another_replica_is_ended_there,
        a_session_that_waits_for_its_agent_on_another_replica_can_be_ended,
        a_session_on_a_dead_replica_is_ended_all_the_same,
        a_session_on_a_sleeping_replica_is_ended_and_stays_ended_when_it_wakes;
}

async fn end(server: &Server, account: &str, room: &str) -> Result<()> {
    let (status, said) = server.delete(&agent_id(account), room).await?;
    ensure!(status == 200 && said == DeleteResponse::DeleteSuccess, "{status} {said:?}");
    // Acknowledged means gone.
    let stays = server.stays_of(&agent_id(account), room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_some(), "{stays:?}");
    Ok(())
}

async fn two(stack: &mut Stack) -> Result<[Server; 2]> {
    stack.set("replica.label", "here");
    let here = stack.start().await?;
    stack.set("replica.label", "there");
    Ok([here, stack.start().await?])
}

async fn a_session_on_another_replica_is_ended_there(stack: &mut Stack) -> Result<()> {
    let [here, there] = two(stack).await?;
    let room = stack.classroom("math");
    let mut ann = here.connect("ann", &room).await?;
    let mut ben = there.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    end(&here, "ben", &room).await?;
    ben.socket.expect_ending("replaced", 4506).await?;
    let left = ann.expect_left("ben").await?;
    ensure!(left.id.sequence_id == ben.session_id(), "{left:?}");
    ann.expect_quiet(&here, &room).await?;
    let again = there.connect("ben", &room).await?;
    ensure!(again.session_id() != ben.session_id(), "a session that ended never comes back");
    ann.expect_entered("ben").await?;
    Ok(())
}

async fn a_session_that_waits_for_its_agent_on_another_replica_can_be_ended(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let [here, there] = two(stack).await?;
    let room = stack.classroom("math");
    let mut ann = here.connect("ann", &room).await?;
    let ben = there.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    ben.vanish().await;
    there.expect_metric("presence_sessions", 0).await?;
    end(&here, "ben", &room).await?;
    ann.expect_left("ben").await?;
    ann.expect_quiet(&here, &room).await
}

async fn a_session_on_a_dead_replica_is_ended_all_the_same(stack: &mut Stack) -> Result<()> {
    let [here, there] = two(stack).await?;
    let room = stack.classroom("math");
    let mut ann = here.connect("ann", &room).await?;
    let _ben = there.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    stack.process(&there).kill()?;
    end(&here, "ben", &room).await?;
    ann.expect_left("ben").await?;
    here.expect_present(&room, &["ann"]).await?;
    ann.expect_quiet(&here, &room).await
}

async fn a_session_on_a_sleeping_replica_is_ended_and_stays_ended_when_it_wakes(
    stack: &mut Stack,
) -> Result<()> {
    // It may sleep longer than its lease on a busy machine.
    for warning in ["the lease had lapsed", "renew the lease"] {
        stack.expect_in_log(warning);
    }
    let [here, there] = two(stack).await?;
    let room = stack.classroom("math");
    let mut ann = here.connect("ann", &room).await?;
    let mut ben = there.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    stack.process(&there).signal("STOP")?;
    end(&here, "ben", &room).await?;
    ann.expect_left("ben").await?;
    // The same agent, back at once: what the sleeper still does is not about this session.
    let back = here.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    stack.process(&there).signal("CONT")?;
    ben.socket.expect_ending("replaced", 4506).await?;
    there.expect_metric("presence_sessions", 0).await?;
    ann.expect_quiet(&here, &room).await?;
    here.expect_present(&room, &["ann", "ben"]).await?;
    // And on the one that slept, where an older session of the agent has sat.
    let mut moved = there.connect("ben", &room).await?;
    ensure!(moved.session_id() != back.session_id(), "another replica makes a new session");
    moved.expect_quiet(&there, &room).await
}

async fn nobody_ends_a_session_without_the_secret(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let request = || server.delete_with(&agent_id("ann"), &room);
    let token = server.token("ann")?;
    let attempts = [request(), request().bearer_auth("wrong"), request().bearer_auth(token)];
    for attempt in attempts {
        Answer::to(attempt).await?.problem(401)?;
    }
    // The public port does not know the route at all.
    let public = server.public(Method::DELETE, "/api/v1/sessions");
    Answer::to(public).await?.problem(404)?;
    ann.expect_quiet(&server, &room).await?;
    server.expect_present(&room, &["ann"]).await
}

async fn while_a_secret_is_exchanged_the_other_one_is_taken_too(stack: &mut Stack) -> Result<()> {
    const OTHER: &str = "the-secret-that-comes-next";
    let asked = |server: &Server| server.delete_with(&agent_id("ann"), "nowhere");
    let before = stack.start().await?;
    Answer::to(asked(&before).bearer_auth(OTHER)).await?.problem(401)?;
    stack.stop(&before).await?;
    stack.set("internal.accepted_secret", OTHER);
    let server = stack.start().await?;
    for secret in [INTERNAL_SECRET, OTHER] {
        let answer = Answer::to(asked(&server).bearer_auth(secret)).await?;
        ensure!(answer.status == 404, "there is nobody to end, but {answer:?}");
    }
    Answer::to(asked(&server).bearer_auth("neither-of-the-two")).await?.problem(401)?;
    Ok(())
}

async fn an_ended_session_is_told_and_its_classroom_hears_that_it_left(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let mut ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let (status, said) = server.delete(&agent_id("ben"), &room).await?;
    ensure!(status == 200 && said == DeleteResponse::DeleteSuccess, "{status} {said:?}");
    ben.socket.expect_ending("replaced", 4506).await?;
    let left = ann.expect_left("ben").await?;
    ensure!(left.id.sequence_id == ben.session_id(), "{left:?}");
    // Acknowledged means gone.
    server.expect_present(&room, &["ann"]).await?;
    ann.expect_quiet(&server, &room).await?;
    let again = server.connect("ben", &room).await?;
    ensure!(again.session_id() != ben.session_id(), "a session that ended never comes back");
    ann.expect_entered("ben").await?;
    Ok(())
}

async fn a_session_that_only_waits_for_its_agent_can_be_ended(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    ben.vanish().await;
    let (status, said) = server.delete(&agent_id("ben"), &room).await?;
    ensure!(status == 200 && said == DeleteResponse::DeleteSuccess, "{status} {said:?}");
    ann.expect_left("ben").await?;
    ann.expect_quiet(&server, &room).await?;
    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_some(), "{stays:?}");
    Ok(())
}

async fn an_unknown_session_is_not_found(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let (status, said) = server.delete(&agent_id("nobody"), &room).await?;
    let expected = DeleteResponse::DeleteFailure(DeleteFailure::NotFound);
    ensure!(status == 404 && said == expected, "{status} {said:?}");
    for (agent, classroom) in [("nobody", &*room), (&*agent_id("ann"), "a.b")] {
        let request = server.delete_with(agent, classroom).bearer_auth(INTERNAL_SECRET);
        Answer::to(request).await?.problem(400)?;
    }
    Ok(())
}
