//! What time ends: a socket that says nothing, a client that does not answer, a token.

use presence_tests::{Result, Stack, agent_id, ensure, http::interval, request, scenarios};

scenarios! {
    both:
        a_socket_that_says_nothing_is_timed_out,
        a_client_that_answers_no_ping_is_timed_out,
        a_client_that_answers_is_not,
        a_session_ends_with_its_token;
}

async fn a_socket_that_says_nothing_is_timed_out(stack: &mut Stack) -> Result<()> {
    stack.set("native.auth_timeout", "300ms");
    let server = stack.start().await?;
    let mut socket = server.knock("somebody").await?;
    let error = socket.expect_ending("auth_timed_out", 4505).await?;
    ensure!(error.status == 422, "{error:?}");
    server.expect_metric(r#"presence_closes_total{reason="auth_timed_out"}"#, 1).await
}

async fn a_client_that_answers_no_ping_is_timed_out(stack: &mut Stack) -> Result<()> {
    stack.set("native.ping_interval", "400ms");
    stack.set("native.pong_timeout", "200ms");
    stack.set("session.leave_grace", "0s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let mut raw = server.connect_raw("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let said = raw.expect_close(4000).await?;
    ensure!(said.as_deref() == Some("pong_timed_out"), "{said:?}");
    ann.expect_left("ben").await?;
    // Its stay ended when it last spoke, which was when it entered.
    let stays = server.stays_of(&agent_id("ben"), &room).await?;
    ensure!(stays.len() == 1 && interval(&stays[0])?.1.is_some(), "{stays:?}");
    ann.expect_quiet(&server, &room).await
}

async fn a_client_that_answers_is_not(stack: &mut Stack) -> Result<()> {
    stack.set("native.ping_interval", "400ms");
    stack.set("native.pong_timeout", "300ms");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    // Somebody else's being timed out shows that time for it has passed.
    for _ in 0..2 {
        server.connect_raw("ben", &room).await?.expect_close(4000).await?;
    }
    ann.expect_entered("ben").await?;
    ann.expect_quiet(&server, &room).await
}

async fn a_session_ends_with_its_token(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let short = stack.tokens().mint("ben", &["--ttl", "2s"])?;
    let mut ben = server.connect_as("ben", &request(&room, &short)).await?;
    ann.expect_entered("ben").await?;
    let error = ben.socket.expect_ending("token_expired", 4002).await?;
    ensure!(error.status == 401 && error.reconnect_after_ms.is_some(), "{error:?}");
    // With a new token it goes on, and nobody noticed.
    let again = server.resume("ben", &room, ben.resume()).await?;
    ensure!(again.session_id() == ben.session_id() && again.welcome.resumed, "{:?}", again.welcome);
    ann.expect_quiet(&server, &room).await
}
