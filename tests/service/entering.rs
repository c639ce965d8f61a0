//! Entering and leaving: what the others in the classroom hear, and what attendance keeps.

use presence_tests::{Result, Stack, agent_id, ensure, http::interval, scenarios};

scenarios! {
    both:
        two_agents_see_each_other_and_not_themselves,
        classrooms_do_not_hear_each_other,
        a_clean_close_is_left_at_once,
        a_broken_connection_counts_as_left_after_the_grace,
        a_return_within_the_grace_is_heard_by_nobody,
        without_a_grace_a_broken_connection_is_left_at_once,
        a_full_classroom_lists_its_first_agents_and_counts_all;
}

async fn two_agents_see_each_other_and_not_themselves(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    ensure!(ann.welcome.snapshot.agents_total == 1 && !ann.welcome.resumed);
    let mut ben = server.connect("ben", &room).await?;

    let present: Vec<_> = ben.welcome.snapshot.agents.iter().map(|agent| agent.agent_id.clone()).collect();
    ensure!(present == [agent_id("ann"), agent_id("ben")], "ben was told of {present:?}");
    let entered = ann.expect_entered("ben").await?;
    ensure!(entered.id.sequence_id == ben.session_id(), "an event is of its session");
    ensure!(entered.payload["version"] == "v1" && entered.payload["entity_type"] == "agent");

    // Neither hears of itself, nor ben of what was before him.
    let carl = server.connect("carl", &room).await?;
    ann.expect_entered("carl").await?;
    ben.expect_entered("carl").await?;
    carl.close().await?;
    ann.expect_left("carl").await?;
    ben.expect_left("carl").await?;
    Ok(())
}

async fn classrooms_do_not_hear_each_other(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let (math, art) = (stack.classroom("math"), stack.classroom("art"));
    let mut ann = server.connect("ann", &math).await?;
    let mut ann_in_art = server.connect("ann", &art).await?;
    let ben = server.connect("ben", &art).await?;
    ann_in_art.expect_entered("ben").await?;
    ben.close().await?;
    ann_in_art.expect_left("ben").await?;
    ann.expect_quiet(&server, &math).await?;
    ann_in_art.expect_quiet(&server, &art).await
}

async fn a_clean_close_is_left_at_once(stack: &mut Stack) -> Result<()> {
    // Longer than any wait of this test: whoever waits for it fails.
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    let session_id = ben.session_id();
    ann.expect_entered("ben").await?;
    ben.close().await?;
    let left = ann.expect_left("ben").await?;
    ensure!(left.id.sequence_id == session_id, "an event is of its session");

    server.expect_present(&room, &["ann"]).await?;
    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].session_id == session_id, "{stays:?}");
    let (entered, left) = interval(&stays[0])?;
    ensure!(left.is_some_and(|left| left >= entered), "{stays:?}");
    Ok(())
}

async fn a_broken_connection_counts_as_left_after_the_grace(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "3s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    ben.vanish().await;
    // Still present while he is waited for: somebody else comes and goes first.
    ann.expect_quiet(&server, &room).await?;
    server.expect_present(&room, &["ann", "ben"]).await?;
    ann.expect_left("ben").await?;
    server.expect_present(&room, &["ann"]).await?;
    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_some(), "{stays:?}");
    Ok(())
}

async fn a_return_within_the_grace_is_heard_by_nobody(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    let session_id = ben.session_id();
    ann.expect_entered("ben").await?;
    ben.vanish().await;
    let mut ben = server.connect("ben", &room).await?;
    ensure!(ben.session_id() == session_id, "the session is the same one");
    ann.expect_quiet(&server, &room).await?;
    ben.expect_entered("marker").await?;
    ben.expect_left("marker").await?;
    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_none(), "{stays:?}");
    // The end of the broken connection does not touch the new one.
    ben.expect_quiet(&server, &room).await
}

async fn without_a_grace_a_broken_connection_is_left_at_once(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "0s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    ben.vanish().await;
    ann.expect_left("ben").await?;
    Ok(())
}

async fn a_full_classroom_lists_its_first_agents_and_counts_all(stack: &mut Stack) -> Result<()> {
    const CLASS: u64 = 210;
    const LISTED: usize = 200;
    stack.set("native.max_unauthenticated", 1000);
    stack.set("native.max_unauthenticated_per_address", 1000);
    let server = stack.start().await?;
    let room = stack.classroom("lecture");
    let token = server.token("pupil")?;
    let mut agents = vec![];
    for seat in 0..CLASS {
        let mut request = presence_tests::request(&room, &token);
        request.agent_label = format!("seat-{seat}");
        agents.push(server.connect_as("pupil", &request).await?);
    }
    let last = agents.last().map(|agent| agent.welcome.snapshot.clone());
    let snapshot = last.unwrap_or_else(|| unreachable!("a class is not empty"));
    ensure!(snapshot.agents_total == CLASS, "{} present", snapshot.agents_total);
    ensure!(snapshot.agents.len() == LISTED, "{} listed", snapshot.agents.len());
    ensure!(snapshot.agents.is_sorted_by_key(|agent| agent.id), "they are in the order of their sessions");
    Ok(())
}
