//! One agent, several replicas: the last one in has the session, whatever becomes of those that held it before.

use presence_tests::{
    Frame, Result, Server, Socket, Stack, agent_id, ensure, eventually, http::ensure_apart, request,
    scenarios, socket::good_bye,
};

scenarios! {
    full:
        a_socket_on_another_replica_is_replaced_and_nobody_else_notices,
        a_session_that_waits_for_its_agent_elsewhere_is_let_go_of,
        a_client_that_was_told_to_go_moves_without_a_reproach,
        a_holder_that_was_killed_is_not_waited_for,
        a_holder_that_sleeps_is_not_waited_for_and_harms_nobody_when_it_wakes,
        sockets_that_race_on_three_replicas_leave_one_holder;
}

const ASKED_LET_GO: &str = r#"presence_peer_asks_total{answer="let_go"}"#;
const ASKED_IN_VAIN: &str = r#"presence_peer_asks_total{answer="none"}"#;

async fn three(stack: &mut Stack) -> Result<[Server; 3]> {
    let mut servers = vec![];
    for label in ["first", "second", "third"] {
        stack.set("replica.label", label);
        servers.push(stack.start().await?);
    }
    Ok(servers.try_into().expect("three were pushed"))
}

/// All but the last stay have ended, none overlaps another, and the last is this session's.
async fn expect_stays(server: &Server, account: &str, room: &str, live: i64, ended: usize) -> Result<()> {
    let stays = server.stays_of(&agent_id(account), room).await?;
    let (last, before) = stays.split_last().expect("somebody who was here");
    ensure!(last.session_id == live && last.left_at.is_none(), "{live} is not the live one of {stays:?}");
    ensure!(before.len() == ended && before.iter().all(|stay| stay.left_at.is_some()), "{stays:?}");
    ensure_apart(&stays)
}

async fn a_socket_on_another_replica_is_replaced_and_nobody_else_notices(stack: &mut Stack) -> Result<()> {
    let [first, second, third] = three(stack).await?;
    let room = stack.classroom("math");
    let mut ann = third.connect("ann", &room).await?;
    let mut old = first.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;

    let mut new = second.connect("ben", &room).await?;
    let error = old.socket.expect_ending("replaced", 4506).await?;
    ensure!(error.status == 422 && error.reconnect_after_ms.is_none(), "{error:?}");
    ensure!(new.session_id() != old.session_id(), "another replica makes a new session");
    ensure!(new.welcome.snapshot.agents_total == 2, "{:?}", new.welcome);
    second.expect_metric(ASKED_LET_GO, 1).await?;
    first.expect_metric("presence_sessions", 0).await?;

    ann.expect_quiet(&third, &room).await?;
    new.expect_entered("marker").await?;
    new.expect_left("marker").await?;
    expect_stays(&second, "ben", &room, new.session_id(), 1).await?;
    let session = new.session_id();
    new.close().await?;
    let left = ann.expect_left("ben").await?;
    ensure!(left.id.sequence_id == session, "{left:?}");
    ann.expect_quiet(&third, &room).await
}

async fn a_session_that_waits_for_its_agent_elsewhere_is_let_go_of(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let [first, second, third] = three(stack).await?;
    let room = stack.classroom("math");
    let mut ann = third.connect("ann", &room).await?;
    let ben = first.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let resume = ben.resume();
    ben.vanish().await;
    first.expect_metric("presence_sessions", 0).await?;
    // First as a client that knows its session, then as one that does not.
    let again = second.resume("ben", &room, resume).await?;
    ensure!(again.session_id() == resume.session_id && again.welcome.resumed, "{:?}", again.welcome);
    second.expect_metric(ASKED_LET_GO, 1).await?;
    again.vanish().await;
    second.expect_metric("presence_sessions", 0).await?;
    let anew = first.connect("ben", &room).await?;
    first.expect_metric(ASKED_LET_GO, 1).await?;
    ann.expect_quiet(&third, &room).await?;
    expect_stays(&first, "ben", &room, anew.session_id(), 1).await
}

async fn a_client_that_was_told_to_go_moves_without_a_reproach(stack: &mut Stack) -> Result<()> {
    let [first, second, third] = three(stack).await?;
    let room = stack.classroom("math");
    let mut ann = third.connect("ann", &room).await?;
    let mut old = first.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    stack.process(&first).signal("TERM")?;
    old.socket.expect_recoverable("terminated").await?;
    let new = second.resume("ben", &room, old.resume()).await?;
    ensure!(new.session_id() == old.session_id() && new.welcome.resumed, "{:?}", new.welcome);
    second.expect_metric(ASKED_LET_GO, 1).await?;
    // It hears nothing more of the classroom, and no reproach; its client closes it.
    ann.expect_quiet(&third, &room).await?;
    old.close().await?;
    let status = stack.process(&first).end().await?;
    ensure!(status.success(), "the server ended with {status}");
    ann.expect_quiet(&third, &room).await?;
    expect_stays(&second, "ben", &room, new.session_id(), 0).await
}

async fn a_holder_that_was_killed_is_not_waited_for(stack: &mut Stack) -> Result<()> {
    stack.set("session.lease_ttl", "2s");
    stack.set("session.lease_renew", "500ms");
    stack.set("session.return_window", "1s");
    stack.expect_in_log("the lease had lapsed");
    let [first, second, third] = three(stack).await?;
    let room = stack.classroom("math");
    let mut ann = third.connect("ann", &room).await?;
    let _ben = first.connect("ben", &room).await?;
    let _dora = first.connect("dora", &room).await?;
    ann.expect_entered("ben").await?;
    ann.expect_entered("dora").await?;
    stack.process(&first).kill()?;

    let new = second.connect("ben", &room).await?;
    second.expect_metric(ASKED_IN_VAIN, 1).await?;
    // When the dead one is swept, only she has left who did not come back.
    ann.expect_left("dora").await?;
    ann.expect_quiet(&third, &room).await?;
    third.expect_present(&room, &["ann", "ben"]).await?;
    let stays = third.stays_of(&agent_id("ben"), &room).await?;
    // A new session, or the same if the lease had lapsed by then.
    expect_stays(&third, "ben", &room, new.session_id(), stays.len() - 1).await
}

async fn a_holder_that_sleeps_is_not_waited_for_and_harms_nobody_when_it_wakes(
    stack: &mut Stack,
) -> Result<()> {
    // It may sleep longer than its lease on a busy machine.
    for warning in ["the lease had lapsed", "renew the lease"] {
        stack.expect_in_log(warning);
    }
    let [first, second, third] = three(stack).await?;
    let room = stack.classroom("math");
    let mut ann = third.connect("ann", &room).await?;
    let mut old_ben = first.connect("ben", &room).await?;
    let old_carl = first.connect("carl", &room).await?;
    ann.expect_entered("ben").await?;
    ann.expect_entered("carl").await?;
    old_ben.expect_entered("carl").await?;
    stack.process(&first).signal("STOP")?;

    let ben = second.connect("ben", &room).await?;
    let carl = third.connect("carl", &room).await?;
    second.expect_metric(ASKED_IN_VAIN, 1).await?;
    third.expect_metric(ASKED_IN_VAIN, 1).await?;
    // What the sleeper will find when it wakes: one socket that was closed, and one that is somebody else's by now.
    old_carl.socket.send(good_bye()).await?;
    stack.process(&first).signal("CONT")?;
    old_ben.socket.expect_ending("replaced", 4506).await?;
    expect_end(old_carl.socket).await?;
    first.expect_metric("presence_sessions", 0).await?;

    ann.expect_quiet(&third, &room).await?;
    third.expect_present(&room, &["ann", "ben", "carl"]).await?;
    expect_stays(&second, "ben", &room, ben.session_id(), 1).await?;
    expect_stays(&third, "carl", &room, carl.session_id(), 1).await
}

/// However it is said.
async fn expect_end(mut socket: Socket) -> Result<()> {
    while socket.next().await? != Frame::Gone {}
    Ok(())
}

async fn sockets_that_race_on_three_replicas_leave_one_holder(stack: &mut Stack) -> Result<()> {
    const ROUNDS: usize = 3;
    const EACH: usize = 6;
    let servers = three(stack).await?;
    let room = stack.classroom("math");
    let mut ann = servers[0].connect("ann", &room).await?;
    let request = request(&room, &servers[0].token("ben")?);
    let mut sockets = vec![];
    for round in 0..ROUNDS {
        for _ in 0..EACH {
            for server in &servers {
                sockets.push(server.knock("ben").await?);
            }
        }
        for socket in sockets.iter().skip(round * EACH * servers.len()) {
            socket.ask(&request).await?;
        }
        if round == 0 {
            ann.expect_entered("ben").await?;
        }
    }
    for socket in &mut sockets {
        socket.next().await?;
    }
    ann.expect_quiet(&servers[0], &room).await?;
    // An ask that came too late on a busy machine is made good by the replica itself.
    eventually("one of them to be left", async || {
        let mut sessions = 0;
        for server in &servers {
            sessions += server.metric("presence_sessions").await?;
        }
        ensure!(sessions == 2, "{sessions} sockets have a seat, ann's among them");
        Ok(())
    })
    .await?;
    let dora = servers[1].connect("dora", &room).await?;
    ann.expect_entered("dora").await?;
    let mut holders = 0;
    for socket in &mut sockets {
        holders += usize::from(socket.is_told_of("dora").await?);
    }
    ensure!(holders == 1, "{holders} sockets hold one session");
    let live = servers[2].stays_of(&agent_id("ben"), &room).await?;
    ensure!(live.iter().filter(|stay| stay.left_at.is_none()).count() == 1, "{live:?}");
    ensure_apart(&live)?;
    dora.close().await
}
