//! The bus away, the database away: what goes on, what is refused with a time to come back, and what is made good.

use presence_tests::{
    Agent, Link, Result, Server, Stack, agent_id, ensure, eventually, http::interval, publisher::Foreign,
    request, scenarios,
};

scenarios! {
    full:
        without_the_bus_agents_connect_and_its_return_tells_everything_once,
        a_room_entered_without_the_bus_hears_all_once_it_is_back,
        without_the_database_newcomers_are_told_when_to_return_and_nobody_is_thrown_out,
        a_close_while_the_database_is_away_is_one_stay_and_one_left,
        without_the_database_a_server_still_ends_and_the_next_one_makes_it_good,
        an_outage_of_the_database_that_outlasts_every_lease_ends_only_those_who_left;
}

/// What a server says in its log of an outage.
pub(crate) fn expect_complaints(stack: &mut Stack) {
    for complaint in [
        "no connection to NATS",
        "the bus is away",
        "NATS reports an error",
        "expected INFO",
        "relay events",
        "claim session",
        "renew the lease",
        "the lease had lapsed",
        "is unavailable",
        "trim the outbox",
        "testing the connection on-release",
        "given up in time",
        "still in the outbox",
        "could not be given back",
        "could not be told",
        "release session",
        "ended without giving its session up",
    ] {
        stack.expect_in_log(complaint);
    }
}

async fn without_the_bus_agents_connect_and_its_return_tells_everything_once(
    stack: &mut Stack,
) -> Result<()> {
    expect_complaints(stack);
    let link = stack.link_bus().await?;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let dora = server.connect("dora", &room).await?;
    ann.expect_entered("dora").await?;

    cut(&link, &server, "bus").await?;
    let ben = server.connect("ben", &room).await?;
    ensure!(ben.welcome.snapshot.agents_total == 3, "{:?}", ben.welcome);
    ben.close().await?;
    dora.close().await?;
    let _carl = server.connect("carl", &room).await?;
    server.expect_present(&room, &["ann", "carl"]).await?;
    link.heal();

    // Events of one agent are in order; those of several may pass one another.
    let mut heard = vec![];
    for _ in 0..4 {
        let event = ann.expect_event().await?;
        heard.push((event.payload["agent_id"].as_str().unwrap_or_default().to_owned(), event.id.operation));
    }
    let of = |account: &str| -> Vec<&str> {
        let of_it = heard.iter().filter(|(agent, _)| *agent == agent_id(account));
        of_it.map(|(_, operation)| operation.as_str()).collect()
    };
    ensure!(
        of("ben") == ["entered", "left"] && of("dora") == ["left"] && of("carl") == ["entered"],
        "{heard:?}"
    );
    ann.expect_quiet(&server, &room).await?;
    server.expect_metric("presence_outbox_pending", 0).await
}

/// Cuts a link, and returns once the server has noticed.
pub(crate) async fn cut(link: &Link, server: &Server, what: &str) -> Result<()> {
    expect_readyz(server, &format!("\"{what}\":\"up\"")).await?;
    link.cut();
    expect_readyz(server, &format!("\"{what}\":\"down\"")).await
}

async fn expect_readyz(server: &Server, says: &str) -> Result<()> {
    eventually("the server to notice", async || {
        let ready = server.health("/readyz").await?;
        ensure!(ready.body.contains(says), "expected {says}: {ready:?}");
        Ok(())
    })
    .await
}

async fn a_room_entered_without_the_bus_hears_all_once_it_is_back(stack: &mut Stack) -> Result<()> {
    expect_complaints(stack);
    let link = stack.link_bus().await?;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    cut(&link, &server, "bus").await?;
    ensure!(server.health("/readyz").await?.status == 200, "a bus that is away makes nobody unready");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    link.heal();
    // Its position was known from before the cut: from there on nothing is missing, and nothing comes twice.
    ann.expect_entered("ben").await?;
    ann.expect_quiet(&server, &room).await?;
    ben.close().await?;
    ann.expect_left("ben").await?;
    Ok(())
}

async fn without_the_database_newcomers_are_told_when_to_return_and_nobody_is_thrown_out(
    stack: &mut Stack,
) -> Result<()> {
    expect_complaints(stack);
    let link = stack.link_database().await?;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let publisher = stack.publisher().await?;
    let mut ann = server.connect("ann", &room).await?;

    cut(&link, &server, "store").await?;
    let mut ben = server.knock("ben").await?;
    ben.ask(&request(&room, &server.token("ben")?)).await?;
    let error = ben.expect_ending("overloaded", 4004).await?;
    ensure!(error.status == 503 && error.reconnect_after_ms.is_some(), "{error:?}");
    let answer = server.get(&format!("/api/v1/classrooms/{room}/agents")).await?;
    answer.problem(503)?;
    ensure!(answer.headers.contains_key("retry-after"), "{answer:?}");
    ensure!(server.health("/readyz").await?.status == 503, "nobody new should be sent here");
    // Who is in hears the classroom all the same.
    let seq = publisher.bare(&Foreign::new(&room, 1)).await?;
    ensure!(ann.expect_event().await?.seq == seq);

    link.heal();
    let ben = eventually("connects to work again", async || server.connect("ben", &room).await).await?;
    ann.expect_entered("ben").await?;
    ben.close().await?;
    ann.expect_left("ben").await?;
    server.expect_present(&room, &["ann"]).await?;
    ann.expect_quiet(&server, &room).await
}

async fn a_close_while_the_database_is_away_is_one_stay_and_one_left(stack: &mut Stack) -> Result<()> {
    expect_complaints(stack);
    let link = stack.link_database().await?;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let session_id = ben.session_id();
    cut(&link, &server, "store").await?;
    ben.close().await?;
    let closed_at = jiff::Timestamp::now();
    // Long enough to tell a stay that ended with the close from one that ended with the outage.
    eventually("the server to try again and again", async || {
        let tries = server.log.text()?.matches(r#""message":"release session""#).count();
        ensure!(tries >= 5, "{tries} tries");
        Ok(())
    })
    .await?;
    let healed_at = jiff::Timestamp::now();
    link.heal();
    let left = ann.expect_left("ben").await?;
    ensure!(left.id.sequence_id == session_id, "{left:?}");
    ann.expect_quiet(&server, &room).await?;
    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].session_id == session_id, "{stays:?}");
    // It ended when he went, not when the database heard of it; what the statement itself takes is added to it.
    let (_, left_at) = interval(&stays[0])?;
    let with_the_close =
        left_at.is_some_and(|at| at.duration_since(closed_at) < healed_at.duration_since(at));
    ensure!(with_the_close, "closed at {closed_at}, healed at {healed_at}: {stays:?}");
    let rows = stack.database()?.query(&format!(
        "SELECT count(*) FROM agent_session_history WHERE agent_id = '{}'",
        agent_id("ben")
    ))?;
    ensure!(rows == "1", "{rows} rows of history");
    Ok(())
}

async fn without_the_database_a_server_still_ends_and_the_next_one_makes_it_good(
    stack: &mut Stack,
) -> Result<()> {
    expect_complaints(stack);
    stack.set("session.drain_timeout", "0s");
    stack.set("session.lease_ttl", "1s");
    stack.set("session.lease_renew", "300ms");
    stack.set("session.return_window", "0s");
    let link = stack.link_database().await?;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    cut(&link, &server, "store").await?;
    stack.process(&server).signal("TERM")?;
    ann.socket.expect_recoverable("terminated").await?;
    ann.socket.expect_ending("terminated", 4001).await?;
    let closed_by = jiff::Timestamp::now();
    let status = stack.process(&server).end().await?;
    ensure!(status.success(), "the server ended with {status}");

    link.heal();
    let server = stack.start().await?;
    let mut ben = server.connect("ben", &room).await?;
    ben.expect_left("ann").await?;
    ben.expect_quiet(&server, &room).await?;
    let stays = server.stays_of(&agent_id("ann"), &room).await?;
    ensure!(stays.len() == 1, "{stays:?}");
    let (_, left) = interval(&stays[0])?;
    ensure!(left.is_some_and(|left| left <= closed_by), "closed by {closed_by}: {stays:?}");
    Ok(())
}

/// Longer than every lease and the return window after it: nobody is dead for that, on either replica.
async fn an_outage_of_the_database_that_outlasts_every_lease_ends_only_those_who_left(
    stack: &mut Stack,
) -> Result<()> {
    expect_complaints(stack);
    stack.set("session.lease_ttl", "1s");
    stack.set("session.lease_renew", "300ms");
    stack.set("session.return_window", "3s");
    let link = stack.link_database().await?;
    let east = start_as(stack, "east").await?;
    let west = start_as(stack, "west").await?;
    let room = stack.classroom("math");
    let mut ann = east.connect("ann", &room).await?;
    let (mut staying, mut leaving) = (vec![], vec![]);
    for (account, server) in [("ben", &east), ("carl", &west), ("dora", &east), ("emil", &west)] {
        let agent = server.connect(account, &room).await?;
        ann.expect_entered(account).await?;
        if account < "dora" { staying.push(agent) } else { leaving.push(agent) }
    }
    cut(&link, &east, "store").await?;
    expect_readyz(&west, "\"store\":\"down\"").await?;
    for agent in leaving {
        agent.close().await?;
    }
    eventually("every lease and its return window to be over", async || {
        let recent = "lease_until > clock_timestamp() - interval '4 seconds'";
        let recent = stack.database()?.query(&format!("SELECT count(*) FROM replica WHERE {recent}"))?;
        ensure!(recent == "0", "{recent} of them are not");
        Ok(())
    })
    .await?;
    let mut fred = east.knock("fred").await?;
    fred.ask(&request(&room, &east.token("fred")?)).await?;
    let error = fred.expect_ending("overloaded", 4004).await?;
    ensure!(error.reconnect_after_ms.is_some(), "{error:?}");

    link.heal();
    let mut left: Vec<String> = vec![];
    for _ in 0..2 {
        let event = ann.expect_event().await?;
        ensure!(event.id.operation == "left", "{event:?}");
        left.push(event.payload["agent_id"].as_str().unwrap_or_default().to_owned());
    }
    left.sort();
    ensure!(left == [agent_id("dora"), agent_id("emil")], "{left:?}");
    expect_only_the_dead_to_be_swept(stack, &mut ann, &room, [&east, &west]).await?;
    east.expect_present(&room, &["ann", "ben", "carl"]).await
}

async fn start_as(stack: &mut Stack, label: &str) -> Result<Server> {
    stack.set("replica.label", label);
    stack.start().await
}

/// Whoever sweeps a replica that died after the outage has had every chance to sweep the others for the outage.
async fn expect_only_the_dead_to_be_swept(
    stack: &mut Stack,
    witness: &mut Agent,
    room: &str,
    servers: [&Server; 2],
) -> Result<()> {
    let doomed = start_as(stack, "doomed").await?;
    let _gone = doomed.connect("gone", room).await?;
    witness.expect_entered("gone").await?;
    stack.process(&doomed).kill()?;
    witness.expect_left("gone").await?;
    witness.expect_quiet(servers[0], room).await?;
    let mut swept = 0;
    for server in servers {
        server.expect_metric("presence_session_lost_total", 0).await?;
        server.expect_metric("presence_ghosts_total", 0).await?;
        swept += server.metric("presence_sessions_swept_total").await?;
    }
    ensure!(swept == 1, "{swept} sessions were swept");
    Ok(())
}
