//! The same agent, again: the new socket takes the session over, and nobody else notices.

use presence_tests::{
    Agent, Result, Stack, agent_id, bail, ensure, http::ensure_apart, request, scenarios, socket::good_bye,
};

scenarios! {
    both:
        the_second_socket_replaces_the_first,
        sockets_that_race_leave_one_holder,
        fast_reloads_end_with_one_live_session;
}

async fn the_second_socket_replaces_the_first(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let mut old = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;

    let mut new = server.connect("ben", &room).await?;
    let error = old.socket.expect_ending("replaced", 4506).await?;
    ensure!(error.status == 422 && error.reconnect_after_ms.is_none(), "{error:?}");
    ensure!(new.session_id() == old.session_id(), "the session is the same one");
    ensure!(new.welcome.snapshot.agents_total == 2, "{:?}", new.welcome);

    ann.expect_quiet(&server, &room).await?;
    new.expect_entered("marker").await?;
    new.expect_left("marker").await?;
    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_none(), "{stays:?}");
    new.close().await?;
    ann.expect_left("ben").await?;
    Ok(())
}

async fn sockets_that_race_leave_one_holder(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let request = request(&room, &server.token("ben")?);
    let mut sockets = vec![];
    for _ in 0..16 {
        let socket = server.knock("ben").await?;
        socket.ask(&request).await?;
        sockets.push(socket);
    }
    ann.expect_entered("ben").await?;
    // Each has its answer, so all claims are made: a success, or that it was replaced before.
    for socket in &mut sockets {
        socket.next().await?;
    }
    ann.expect_quiet(&server, &room).await?;
    // Whichever won is told of a newcomer; each of the others is closed.
    let dora = server.connect("dora", &room).await?;
    ann.expect_entered("dora").await?;
    let mut holders = 0;
    for socket in &mut sockets {
        holders += usize::from(socket.is_told_of("dora").await?);
    }
    ensure!(holders == 1, "{holders} sockets hold one session");
    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_none(), "{stays:?}");
    dora.close().await
}

async fn fast_reloads_end_with_one_live_session(stack: &mut Stack) -> Result<()> {
    const RELOADS: usize = 200;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let mut ben = server.connect("ben", &room).await?;
    for _ in 0..RELOADS {
        // As a browser does it: good-bye, and back before it is heard.
        ben.socket.send(good_bye()).await?;
        ben = server.connect("ben", &room).await?;
    }
    let marker = server.connect("marker", &room).await?;
    let last = alternating_until_marker(&mut ann).await?;
    ensure!(last == "entered", "the last that was heard of ben is that he {last}");
    marker.close().await?;

    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    let live: Vec<_> = stays.iter().filter(|stay| stay.left_at.is_none()).collect();
    ensure!(live.len() == 1 && live[0].session_id == ben.session_id(), "{live:?}");
    ensure_apart(&stays)
}

/// What is heard of ben alternates until the marker enters. Returns the last of it.
async fn alternating_until_marker(ann: &mut Agent) -> Result<String> {
    let mut last = "left".to_owned();
    loop {
        let event = ann.expect_event().await?;
        if event.is("entered", &agent_id("marker")) {
            return Ok(last);
        }
        let operation = event.id.operation.clone();
        if operation == last || !event.is(&operation, &agent_id("ben")) {
            bail!("after {last} of ben came {event:?}");
        }
        last = operation;
    }
}
