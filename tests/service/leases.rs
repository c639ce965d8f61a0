//! Rows and sockets that no longer belong together: a replica that slept through its own end, a store that lost what it
//! had acknowledged, a claim that nobody heard the answer of. Each comes right by itself, within seconds.

use presence_api::frames::{ServerFrame, SessionError};
use presence_tests::{
    Agent, Frame, Kind, Result, Server, Stack, agent_id, bail, ensure, eventually, http::interval, scenarios,
    wait::eventually_within,
};
use std::time::Duration;

scenarios! {
    full:
        a_replica_that_slept_through_its_lease_does_no_harm_when_it_wakes,
        a_socket_whose_row_is_gone_is_told_and_its_client_comes_back,
        a_row_that_nobody_answers_for_is_given_up_with_one_left,
        a_store_that_went_back_in_time_and_its_replica_agree_again,
        a_lease_lost_while_the_database_was_away_is_taken_up_again_with_it;
}

/// A ghost has to be missed for longer than any claim may take.
const LONG: Duration = Duration::from_secs(30);

fn expect_repairs(stack: &mut Stack) {
    for repair in [
        "the lease had lapsed",
        "renew the lease",
        "closed sockets whose sessions the store has lost",
        "gave up sessions that nobody here answers for",
    ] {
        stack.expect_in_log(repair);
    }
}

fn rows_of(stack: &Stack, table: &str, account: &str) -> Result<u32> {
    let count = format!("SELECT count(*) FROM {table} WHERE agent_id = '{}'", agent_id(account));
    Ok(stack.database()?.query(&count)?.parse()?)
}

/// Waits until the session of an account has no row any more.
async fn expect_given_up(stack: &Stack, account: &str) -> Result<()> {
    eventually_within(LONG, "a row to be given up", async || {
        let rows = rows_of(stack, "agent_session", account)?;
        ensure!(rows == 0, "{rows} rows of {account}");
        Ok(())
    })
    .await
}

/// Whatever the classroom has said meanwhile, this is the socket's end.
async fn expect_ending(agent: &mut Agent, kind: &str, code: u16) -> Result<SessionError> {
    let error = loop {
        match agent.socket.next().await? {
            Frame::Event(_) => {}
            Frame::Said(
                ServerFrame::RecoverableSessionError(error) | ServerFrame::UnrecoverableSessionError(error),
            ) if error.kind == kind => break error,
            other => bail!("{} expected an ending as {kind}, and heard {other:?}", agent.id),
        }
    };
    agent.socket.expect_close(code).await?;
    Ok(error)
}

/// The socket is told `session_lost`; its client does as it is told.
async fn expect_lost_and_back(mut agent: Agent, server: &Server, account: &str, room: &str) -> Result<Agent> {
    let error = expect_ending(&mut agent, "session_lost", 4005).await?;
    ensure!(error.status == 503 && error.reconnect_after_ms.is_some(), "{error:?}");
    server.resume(account, room, agent.resume()).await
}

async fn a_replica_that_slept_through_its_lease_does_no_harm_when_it_wakes(stack: &mut Stack) -> Result<()> {
    expect_repairs(stack);
    stack.set("session.lease_ttl", "1s");
    stack.set("session.lease_renew", "300ms");
    stack.set("session.return_window", "3s");
    stack.set("replica.label", "survivor");
    let survivor = stack.start().await?;
    stack.set("replica.label", "sleeper");
    let sleeper = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = survivor.connect("ann", &room).await?;
    let ben = sleeper.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let mut carl = sleeper.connect("carl", &room).await?;
    ann.expect_entered("carl").await?;
    stack.process(&sleeper).signal("STOP")?;
    let stopped_at = jiff::Timestamp::now();

    // Carl's client finds another replica; Ben's waits at a socket that nobody is behind.
    let mut again = survivor.resume("carl", &room, carl.resume()).await?;
    ensure!(again.session_id() == carl.session_id(), "the session is the same one");
    expect_given_up(stack, "ben").await?;
    ann.expect_left("ben").await?;
    stack.process(&sleeper).signal("CONT")?;

    // Whoever was swept is told so, and whoever is elsewhere is not asked to come back and take his own place.
    expect_ending(&mut carl, "replaced", 4506).await?;
    let ben = expect_lost_and_back(ben, &sleeper, "ben", &room).await?;
    ann.expect_entered("ben").await?;
    ann.expect_quiet(&survivor, &room).await?;
    survivor.expect_present(&room, &["ann", "ben", "carl"]).await?;
    sleeper.expect_metric("presence_lease_lost_total", 1).await?;

    let stays = survivor.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 2 && stays[1].session_id == ben.session_id(), "{stays:?}");
    let (_, left) = interval(&stays[0])?;
    ensure!(left.is_some_and(|left| left <= stopped_at), "stopped at {stopped_at}: {stays:?}");
    let stays = survivor.stays_of(&agent_id("carl"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_none(), "{stays:?}");
    again.expect_left("ben").await?;
    Ok(())
}

async fn a_socket_whose_row_is_gone_is_told_and_its_client_comes_back(stack: &mut Stack) -> Result<()> {
    expect_repairs(stack);
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let lost = ben.session_id();

    stack.database()?.query(&format!("DELETE FROM agent_session WHERE id = {lost}"))?;
    let ben = expect_lost_and_back(ben, &server, "ben", &room).await?;
    ensure!(ben.session_id() != lost, "a session that was lost does not come back");
    let entered = ann.expect_entered("ben").await?;
    ensure!(entered.id.sequence_id == ben.session_id(), "{entered:?}");
    server.expect_metric("presence_session_lost_total", 1).await?;
    server.expect_metric("presence_sessions", 2).await?;
    ensure!(rows_of(stack, "agent_session_history", "ben")? == 0, "whoever lost it gave nothing up");
    ann.expect_quiet(&server, &room).await?;
    server.expect_present(&room, &["ann", "ben"]).await
}

async fn a_row_that_nobody_answers_for_is_given_up_with_one_left(stack: &mut Stack) -> Result<()> {
    expect_repairs(stack);
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    // As after a claim that was committed and whose answer never came.
    let ghost = agent_id("ghost");
    stack.database()?.query(&format!(
        "INSERT INTO agent_session (agent_id, classroom_id, replica_id) SELECT '{ghost}', '{room}', id FROM replica"
    ))?;
    server.expect_present(&room, &["ann", "ghost"]).await?;

    expect_given_up(stack, "ghost").await?;
    ann.expect_left("ghost").await?;
    ann.expect_quiet(&server, &room).await?;
    server.expect_present(&room, &["ann"]).await?;
    server.expect_metric("presence_ghosts_total", 1).await?;
    server.expect_metric("presence_session_lost_total", 0).await?;
    ensure!(rows_of(stack, "agent_session_history", "ghost")? == 1, "it was a stay");
    Ok(())
}

/// As after a failover to a standby that lagged: rows of sessions that are over, and older generations of those that are
/// not.
async fn a_store_that_went_back_in_time_and_its_replica_agree_again(stack: &mut Stack) -> Result<()> {
    expect_repairs(stack);
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let carl = server.connect("carl", &room).await?;
    ann.expect_entered("carl").await?;
    let (bens, carls) = (ben.session_id(), carl.session_id());
    carl.close().await?;
    ann.expect_left("carl").await?;

    stack.database()?.query(&format!(
        "WITH over AS (DELETE FROM agent_session_history WHERE id = {carls} RETURNING *), \
              older AS (UPDATE agent_session SET generation = generation - 1 WHERE id = {bens}) \
         INSERT INTO agent_session (id, agent_id, classroom_id, replica_id, started_at) \
         SELECT id, agent_id, classroom_id, replica_id, lower(lifetime) FROM over"
    ))?;
    server.expect_present(&room, &["ann", "ben", "carl"]).await?;
    let ben = expect_lost_and_back(ben, &server, "ben", &room).await?;
    ensure!(ben.session_id() == bens, "the row was there to be taken");
    expect_given_up(stack, "carl").await?;
    ensure!(rows_of(stack, "agent_session_history", "carl")? == 1, "one stay, as before");
    // The classroom heard all of it once: of Carl's second `left` the stream knows that it is the first.
    ann.expect_quiet(&server, &room).await?;
    server.expect_present(&room, &["ann", "ben"]).await?;
    server.expect_metric("presence_session_lost_total", 1).await?;
    server.expect_metric("presence_ghosts_total", 1).await
}

async fn a_lease_lost_while_the_database_was_away_is_taken_up_again_with_it(stack: &mut Stack) -> Result<()> {
    expect_repairs(stack);
    for complaint in ["claim session", "is unavailable", "relay events", "trim the outbox", "resync"] {
        stack.expect_in_log(complaint);
    }
    stack.set("session.lease_ttl", "1s");
    stack.set("session.lease_renew", "300ms");
    let link = stack.link_database().await?;
    let server = stack.start().await?;
    ensure!(stack.kind == Kind::Full, "the leases are read from PostgreSQL");
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    server.expect_metric("presence_lease_held", 1).await?;

    link.cut();
    eventually("the lease to lapse", async || {
        let running = "SELECT count(*) FROM replica WHERE lease_until > clock_timestamp()";
        ensure!(stack.database()?.query(running)? == "0", "it still runs");
        Ok(())
    })
    .await?;
    server.expect_metric("presence_lease_held", 0).await?;
    link.heal();
    let ben = eventually("claims to work again", async || server.connect("ben", &room).await).await?;
    ann.expect_entered("ben").await?;
    server.expect_metric("presence_lease_lost_total", 1).await?;
    server.expect_metric("presence_lease_held", 1).await?;
    // What was asked for before the lease was lost is not done after it.
    ensure!(stack.database()?.query("SELECT fence > 1 FROM replica")? == "t", "the fence grows");
    ben.close().await?;
    ann.expect_left("ben").await?;
    ann.expect_quiet(&server, &room).await
}
