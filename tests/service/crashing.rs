//! kill -9: whoever comes back in time goes on, whoever does not has left once, and no stay outlasts the crash.

use presence_tests::{Kind, Result, Server, Stack, agent_id, ensure, http::interval, scenarios};

scenarios! {
    both:
        after_a_crash_those_who_return_go_on_and_the_others_left_once;
    full:
        a_survivor_tells_of_those_whom_the_dead_one_held;
}

fn short_leases(stack: &mut Stack) {
    stack.set("session.lease_ttl", "1s");
    stack.set("session.lease_renew", "300ms");
    stack.set("session.return_window", "2s");
    // On a busy machine so short a lease may lapse between two renewals; within the return window that harms nobody.
    stack.expect_in_log("the lease had lapsed");
}

/// One stay, which had ended by then.
async fn expect_ended_by(server: &Server, account: &str, room: &str, by: jiff::Timestamp) -> Result<()> {
    let stays = server.stays_of(&agent_id(account), room).await?;
    ensure!(stays.len() == 1, "{stays:?}");
    let (_, left) = interval(&stays[0])?;
    ensure!(left.is_some_and(|left| left <= by), "killed at {by}: {stays:?}");
    Ok(())
}

async fn after_a_crash_those_who_return_go_on_and_the_others_left_once(stack: &mut Stack) -> Result<()> {
    short_leases(stack);
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let _ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let resume = ann.resume();
    stack.process(&server).kill()?;
    let killed_at = jiff::Timestamp::now();

    let server = stack.start().await?;
    let mut ann = server.resume("ann", &room, resume).await?;
    ensure!(ann.session_id() == resume.session_id, "the session is the same one");
    let left = match stack.kind {
        Kind::Full => {
            ensure!(ann.welcome.resumed, "{:?}", ann.welcome);
            ann.expect_event().await?
        }
        // A bus inside the process forgot with it: the state is told, and what the store did not know to be published
        // is published once more.
        Kind::Alone => {
            ann.socket.expect_resync().await?;
            let event = ann.expect_event().await?;
            if event.is("entered", &agent_id("ben")) { ann.expect_event().await? } else { event }
        }
    };
    ensure!(left.is("left", &agent_id("ben")), "{left:?}");
    ann.expect_quiet(&server, &room).await?;
    expect_ended_by(&server, "ben", &room, killed_at).await?;
    let stays = server.stays_of(&agent_id("ann"), &room).await?;
    ensure!(stays.len() == 1 && stays[0].left_at.is_none(), "{stays:?}");
    server.expect_present(&room, &["ann"]).await
}

async fn a_survivor_tells_of_those_whom_the_dead_one_held(stack: &mut Stack) -> Result<()> {
    short_leases(stack);
    stack.set("replica.label", "survivor");
    let survivor = stack.start().await?;
    stack.set("replica.label", "doomed");
    let doomed = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = survivor.connect("ann", &room).await?;
    let _ben = doomed.connect("ben", &room).await?;
    let carl = doomed.connect("carl", &room).await?;
    ann.expect_entered("ben").await?;
    ann.expect_entered("carl").await?;
    stack.process(&doomed).kill()?;
    let killed_at = jiff::Timestamp::now();

    // Carl's client connects to what is left, and nobody notices.
    let again = survivor.resume("carl", &room, carl.resume()).await?;
    ensure!(again.session_id() == carl.session_id(), "the session is the same one");
    ann.expect_left("ben").await?;
    ann.expect_quiet(&survivor, &room).await?;
    expect_ended_by(&survivor, "ben", &room, killed_at).await?;
    survivor.expect_present(&room, &["ann", "carl"]).await
}
