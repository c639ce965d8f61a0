//! Several replicas: who is told to go comes back elsewhere as the same session, unnoticed; and those that drain at the
//! same time share one rate.

use crate::draining::asked_before;
use presence_api::admin::{State, Stats};
use presence_tests::{Agent, Result, Server, Stack, agent_id, ensure, scenarios};

scenarios! {
    full:
        a_client_that_knows_no_resume_is_handed_over_by_a_draining_replica,
        a_shed_moves_as_many_as_asked_and_nobody_notices,
        whoever_goes_after_a_drain_was_called_off_is_handed_over,
        an_agent_whose_connection_broke_is_handed_over_during_a_drain,
        two_replicas_that_drain_share_the_rate,
        without_the_bus_a_replica_drains_and_ends_in_time;
}

async fn two(stack: &mut Stack) -> Result<(Server, Server)> {
    stack.set("replica.label", "new");
    let new = stack.start().await?;
    stack.set("replica.label", "old");
    Ok((new, stack.start().await?))
}

/// One stay that has not ended, and not a word of it to the classroom.
async fn expect_unnoticed(witness: &mut Agent, account: &str, server: &Server, room: &str) -> Result<()> {
    witness.expect_quiet(server, room).await?;
    let stays = server.stays_of(&agent_id(account), room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_none(), "{stays:?}");
    Ok(())
}

async fn a_client_that_knows_no_resume_is_handed_over_by_a_draining_replica(stack: &mut Stack) -> Result<()> {
    let (new, old) = two(stack).await?;
    let room = stack.classroom("math");
    let mut ann = new.connect("ann", &room).await?;
    let mut ben = old.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    stack.process(&old).signal("TERM")?;
    ben.socket.expect_recoverable("terminated").await?;
    let moved = new.connect("ben", &room).await?;
    ensure!(moved.session_id() == ben.session_id(), "{:?}", moved.welcome);
    ensure!(new.metric("presence_handovers_total").await? == 1);
    ben.close().await?;
    let status = stack.process(&old).end().await?;
    ensure!(status.success(), "the server ended with {status}");
    expect_unnoticed(&mut ann, "ben", &new, &room).await
}

async fn a_shed_moves_as_many_as_asked_and_nobody_notices(stack: &mut Stack) -> Result<()> {
    let (new, old) = two(stack).await?;
    let room = stack.classroom("math");
    let mut witness = new.connect("witness", &room).await?;
    let names = ["ann", "ben", "carl", "dora"];
    let mut agents = vec![];
    for name in names {
        // One after the other, and each hears of those after it.
        let agent = old.connect(name, &room).await?;
        witness.expect_entered(name).await?;
        for earlier in &mut agents {
            Agent::expect_entered(earlier, name).await?;
        }
        agents.push(agent);
    }
    old.shed(2).await?;
    let done =
        old.expect_stats("two to be told", |stats| stats.shed.is_some_and(|shed| !shed.under_way)).await?;
    ensure!(done.told == 2 && done.state == State::Serving, "{done:?}");
    let marker = new.connect("marker", &room).await?;
    witness.expect_entered("marker").await?;
    let mut moved = vec![];
    for (mut agent, name) in agents.into_iter().zip(names) {
        if asked_before(&mut agent, "marker").await? {
            // As an old client does it: without a word of its former session.
            let there = new.connect(name, &room).await?;
            ensure!(there.session_id() == agent.session_id(), "{:?}", there.welcome);
            agent.close().await?;
            moved.push((name, there));
        } else {
            moved.push((name, agent));
        }
    }
    marker.close().await?;
    witness.expect_left("marker").await?;
    let gone = |stats: &Stats| stats.shed.is_some_and(|shed| shed.stayed == 0);
    let left = old.expect_stats("two to have gone", gone).await?;
    ensure!(left.agents == 2 && left.told == 2, "{left:?}");
    for (name, _) in &moved {
        expect_unnoticed(&mut witness, name, &new, &room).await?;
    }
    Ok(())
}

async fn whoever_goes_after_a_drain_was_called_off_is_handed_over(stack: &mut Stack) -> Result<()> {
    let (new, old) = two(stack).await?;
    let room = stack.classroom("math");
    let mut ann = new.connect("ann", &room).await?;
    let mut ben = old.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    old.drain().await?;
    ben.socket.expect_recoverable("terminated").await?;
    old.undrain().await?;
    let moved = new.connect("ben", &room).await?;
    ensure!(moved.session_id() == ben.session_id(), "{:?}", moved.welcome);
    ben.close().await?;
    expect_unnoticed(&mut ann, "ben", &new, &room).await
}

async fn an_agent_whose_connection_broke_is_handed_over_during_a_drain(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let (new, old) = two(stack).await?;
    let room = stack.classroom("math");
    let mut ann = new.connect("ann", &room).await?;
    let ben = old.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let mut carl = old.connect("carl", &stack.classroom("art")).await?;
    let session = ben.session_id();
    ben.vanish().await;
    old.expect_stats("ben to be waited for", |stats| stats.waiting == 1).await?;
    old.drain().await?;
    // Whoever has been told can be handed over: so can he.
    carl.socket.expect_recoverable("terminated").await?;
    let stats = old.stats().await?;
    ensure!(stats.state == State::Draining && stats.waiting == 1, "{stats:?}");
    let back = new.connect("ben", &room).await?;
    ensure!(back.session_id() == session, "{:?}", back.welcome);
    expect_unnoticed(&mut ann, "ben", &new, &room).await
}

async fn two_replicas_that_drain_share_the_rate(stack: &mut Stack) -> Result<()> {
    stack.set("session.drain_rate", 6);
    stack.set("session.drain_timeout", "10m");
    let (one, other) = two(stack).await?;
    let mut agents = vec![];
    for server in [&one, &other] {
        for index in 0..16 {
            let room = stack.classroom(&format!("{}{index}", if index % 2 == 0 { "math" } else { "art" }));
            let account = format!("ann{}", agents.len());
            agents.push(server.connect(&account, &room).await?);
        }
    }
    one.drain().await?;
    other.drain().await?;
    for server in [&one, &other] {
        server.expect_stats("to know of the other", |stats| stats.sharing == 2).await?;
    }
    // From here on each tells three a second: neither is ahead of the other by more than what a look in between brings.
    let begin = (one.stats().await?.told, other.stats().await?.told);
    for step in [2, 4, 6] {
        let first = one.expect_stats("one to go on", |stats| stats.told >= begin.0 + step).await?;
        let second = other.stats().await?;
        let (of_one, of_other) = (first.told - begin.0, second.told - begin.1);
        ensure!(of_one.abs_diff(of_other) <= 2, "{of_one} and {of_other} were told in the same time");
    }
    drop(agents);
    for server in [&one, &other] {
        server.expect_stats("to be drained", |stats| stats.state == State::Drained).await?;
    }
    Ok(())
}

async fn without_the_bus_a_replica_drains_and_ends_in_time(stack: &mut Stack) -> Result<()> {
    super::outages::expect_complaints(stack);
    stack.set("session.drain_timeout", "1s");
    let link = stack.link_bus().await?;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    super::outages::cut(&link, &server, "bus").await?;
    server.drain().await?;
    ann.socket.expect_recoverable("terminated").await?;
    ann.socket.expect_ending("terminated", 4001).await?;
    // She has left, and the classroom has not been told.
    let drained = server.expect_stats("to be drained", |stats| stats.state == State::Drained).await?;
    ensure!(!drained.safe_to_delete && drained.waiting == 0, "{drained:?}");
    stack.stop(&server).await?;
    link.heal();
    let server = stack.start().await?;
    server.expect_metric("presence_outbox_pending", 0).await?;
    let stays = server.stays_of(&agent_id("ann"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_some(), "{stays:?}");
    Ok(())
}
