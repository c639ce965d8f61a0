//! SIGTERM: agents are told to connect elsewhere and have time to; then the process ends, and nothing is lost.

use presence_api::admin::State;
use presence_tests::{Result, Socket, Stack, agent_id, ensure, http::interval, scenarios};
use reqwest::Method;

scenarios! {
    both:
        agents_are_told_and_have_time_and_the_history_is_whole,
        an_idle_server_ends_at_once,
        a_session_that_waits_for_its_agent_ends_with_the_server,
        a_second_signal_changes_nothing;
    full:
        moving_to_another_replica_is_noticed_by_nobody;
}

async fn agents_are_told_and_have_time_and_the_history_is_whole(stack: &mut Stack) -> Result<()> {
    stack.set("session.drain_timeout", "2s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let mut ben = server.connect("ben", &room).await?;
    let mut waiting = server.knock("somebody without a token").await?;
    ann.expect_entered("ben").await?;
    let sessions = [ann.session_id(), ben.session_id()];

    stack.process(&server).signal("TERM")?;
    for agent in [&mut ann, &mut ben] {
        let told = agent.socket.expect_recoverable("terminated").await?;
        ensure!(told.reconnect_after_ms.is_some() && told.reason.as_deref() == Some("shutdown"), "{told:?}");
    }
    waiting.expect_ending("terminated", 4001).await?;
    ensure!(Socket::open("too late", server.public).await.is_err(), "nobody enters any more");
    let ready = server.health("/readyz").await?;
    ensure!(ready.status == 503 && ready.body.contains(r#""draining":true"#), "{ready:?}");
    // The old socket still delivers: ben hears that ann did as she was told.
    ann.close().await?;
    ben.expect_left("ann").await?;
    // He does not, and is closed when the time is up.
    ben.socket.expect_ending("terminated", 4001).await?;
    let status = stack.process(&server).end().await?;
    ensure!(status.success(), "the server ended with {status}");

    let server = stack.start().await?;
    let stays = server.attendance(&room).await?;
    let kept: Vec<_> = stays.iter().map(|stay| (stay.session_id, stay.left_at.is_some())).collect();
    ensure!(kept == [(sessions[0], true), (sessions[1], true)], "{stays:?}");
    let ann = server.connect("ann", &room).await?;
    ensure!(!sessions.contains(&ann.session_id()), "a session that ended never comes back");
    server.expect_present(&room, &["ann"]).await
}

async fn an_idle_server_ends_at_once(stack: &mut Stack) -> Result<()> {
    // Longer than the harness waits for an end.
    stack.set("session.drain_timeout", "10m");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    server.connect("ann", &room).await?.close().await?;
    server.expect_present(&room, &[]).await?;
    stack.stop(&server).await
}

async fn a_session_that_waits_for_its_agent_ends_with_the_server(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    stack.set("session.drain_timeout", "1s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let ann = server.connect("ann", &room).await?;
    ann.vanish().await;
    server.expect_metric("presence_sessions", 0).await?;
    stack.stop(&server).await?;
    let server = stack.start().await?;
    let stays = server.stays_of(&agent_id("ann"), &room).await?;
    ensure!(stays.len() == 1 && interval(&stays[0])?.1.is_some(), "{stays:?}");
    Ok(())
}

async fn a_second_signal_changes_nothing(stack: &mut Stack) -> Result<()> {
    // Longer than the harness waits for an end.
    stack.set("session.drain_timeout", "10m");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    stack.process(&server).signal("TERM")?;
    ann.socket.expect_recoverable("terminated").await?;
    for signal in ["TERM", "INT"] {
        stack.process(&server).signal(signal)?;
    }
    server.operate(Method::POST, "undrain", None).await?.problem(409)?;
    let same = server.drain().await?;
    ensure!(same.state == State::Draining && same.ending && same.agents == 1, "{same:?}");
    // She is closed in peace, as the first thing that she hears since; then nobody is left, and the process ends.
    ann.close().await?;
    let status = stack.process(&server).end().await?;
    ensure!(status.success(), "the server ended with {status}");
    Ok(())
}

async fn moving_to_another_replica_is_noticed_by_nobody(stack: &mut Stack) -> Result<()> {
    stack.set("replica.label", "new");
    let new = stack.start().await?;
    stack.set("replica.label", "old");
    let old = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = new.connect("ann", &room).await?;
    let mut ben = old.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    stack.process(&old).signal("TERM")?;
    ben.socket.expect_recoverable("terminated").await?;
    // As a client does it: connect elsewhere, then close here.
    let moved = new.resume("ben", &room, ben.resume()).await?;
    ensure!(moved.welcome.resumed && moved.session_id() == ben.session_id(), "{:?}", moved.welcome);
    ben.close().await?;
    let status = stack.process(&old).end().await?;
    ensure!(status.success(), "the server ended with {status}");
    ann.expect_quiet(&new, &room).await?;
    let stays = new.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_none(), "{stays:?}");
    new.expect_present(&room, &["ann", "ben"]).await
}
