//! Coming back with the last position heard: exactly what was missed, or the state instead; never a silent gap.

use presence_api::frames::Resume;
use presence_tests::{Result, Stack, agent_id, ensure, publisher::Foreign, scenarios};

scenarios! {
    both:
        whoever_comes_back_hears_exactly_what_it_missed,
        nothing_missed_is_a_resume_too,
        a_position_that_proves_nothing_brings_the_state,
        after_a_session_ended_its_events_can_still_be_had;
    full:
        whoever_comes_back_elsewhere_hears_exactly_what_it_missed,
        more_than_a_thousand_events_missed_bring_the_state;
}

async fn whoever_comes_back_hears_exactly_what_it_missed(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let resume = ann.resume();
    ann.vanish().await;

    let carl = server.connect("carl", &room).await?;
    ben.close().await?;
    server.expect_present(&room, &["ann", "carl"]).await?;
    carl.close().await?;
    server.expect_present(&room, &["ann"]).await?;

    let mut ann = server.resume("ann", &room, resume).await?;
    ensure!(ann.welcome.resumed && ann.session_id() == resume.session_id, "{:?}", ann.welcome);
    ensure!(ann.welcome.snapshot.agents_total == 1, "{:?}", ann.welcome);
    // Its welcome is of now; the events lie between then and now.
    ann.seq = resume.last_seq;
    ann.expect_entered("carl").await?;
    ann.expect_left("ben").await?;
    ann.expect_left("carl").await?;
    // And then it goes on, live, with nothing twice.
    ann.expect_quiet(&server, &room).await
}

async fn nothing_missed_is_a_resume_too(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let mut watcher = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    for _ in 0..3 {
        let resume = ann.resume();
        ann.vanish().await;
        ann = server.resume("ann", &room, resume).await?;
        ensure!(ann.welcome.resumed && ann.session_id() == resume.session_id, "{:?}", ann.welcome);
    }
    watcher.expect_quiet(&server, &room).await?;
    ann.expect_entered("marker").await?;
    ann.expect_left("marker").await?;
    ann.expect_quiet(&server, &room).await
}

async fn whoever_comes_back_elsewhere_hears_exactly_what_it_missed(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    stack.set("replica.label", "here");
    let here = stack.start().await?;
    stack.set("replica.label", "there");
    let there = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = here.connect("ann", &room).await?;
    for lost in [false, true, false] {
        for (from, to) in [(&here, &there), (&there, &here)] {
            let resume = ann.resume();
            if lost {
                ann.vanish().await;
                let ben = from.connect("ben", &room).await?;
                ben.close().await?;
                from.expect_present(&room, &["ann"]).await?;
                ann = to.resume("ann", &room, resume).await?;
                ann.seq = resume.last_seq;
                ann.expect_entered("ben").await?;
                ann.expect_left("ben").await?;
            } else {
                // The old socket is still open: nobody knows yet that its client is behind another one.
                let mut old = std::mem::replace(&mut ann, to.resume("ann", &room, resume).await?);
                old.socket.expect_ending("replaced", 4506).await?;
            }
            ensure!(ann.welcome.resumed && ann.session_id() == resume.session_id, "{:?}", ann.welcome);
        }
    }
    ann.expect_quiet(&here, &room).await?;
    for server in [&here, &there] {
        server.expect_metric(r#"presence_resumes_total{result="resync"}"#, 0).await?;
    }
    Ok(())
}

async fn a_position_that_proves_nothing_brings_the_state(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let _ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let honest = ann.resume();
    // Of long ago, of a stream that is not this one, and of nobody's.
    for last_seq in [0, 1, honest.last_seq + 1_000_000, u64::MAX] {
        let resume = Resume { last_seq, ..honest };
        let mut back = server.resume("ann", &room, resume).await?;
        ensure!(!back.welcome.resumed, "{last_seq}: {:?}", back.welcome);
        ensure!(back.session_id() == honest.session_id, "the session is the same one");
        let state = back.socket.expect_resync().await?;
        let present: Vec<_> = state.agents.iter().map(|agent| agent.agent_id.clone()).collect();
        ensure!(present == [agent_id("ann"), agent_id("ben")] && state.agents_total == 2, "{state:?}");
        ensure!(state.seq == back.welcome.snapshot.seq, "both are of the same moment");
        back.expect_quiet(&server, &room).await?;
    }
    server.expect_metric(r#"presence_resumes_total{result="resync"}"#, 4).await
}

async fn more_than_a_thousand_events_missed_bring_the_state(stack: &mut Stack) -> Result<()> {
    const WINDOW: i64 = 1000;
    /// Ann's own `entered` may lie behind her welcome, too.
    const MARGIN: i64 = 10;
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let publisher = stack.publisher().await?;
    let mut ben = server.connect("ben", &room).await?;
    for (missed, complete) in [(WINDOW - MARGIN, true), (WINDOW + MARGIN, false)] {
        let ann = server.connect("ann", &room).await?;
        ben.expect_entered("ann").await?;
        let resume = ann.resume();
        ann.vanish().await;
        for sequence_id in 1..=missed {
            publisher.bare(&Foreign::new(&room, sequence_id)).await?;
            // What the room has not heard yet would come live, and is not missed.
            ben.expect_event().await?;
        }
        let mut ann = server.resume("ann", &room, resume).await?;
        ensure!(ann.welcome.resumed == complete, "{missed} missed: {:?}", ann.welcome);
        if complete {
            ann.seq = resume.last_seq;
            for sequence_id in 1..=missed {
                let event = ann.expect_event().await?;
                ensure!(event.id.sequence_id == sequence_id, "expected {sequence_id}, got {event:?}");
            }
        } else {
            ann.socket.expect_resync().await?;
        }
        ann.expect_quiet(&server, &room).await?;
        ben.expect_entered("marker").await?;
        ben.expect_left("marker").await?;
        ann.close().await?;
        ben.expect_left("ann").await?;
    }
    Ok(())
}

async fn after_a_session_ended_its_events_can_still_be_had(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let ann = server.connect("ann", &room).await?;
    let resume = ann.resume();
    ann.close().await?;
    server.expect_present(&room, &[]).await?;
    let ben = server.connect("ben", &room).await?;
    let mut ann = server.resume("ann", &room, resume).await?;
    ensure!(ann.session_id() != resume.session_id, "a session that ended never comes back");
    ensure!(ann.welcome.resumed, "{:?}", ann.welcome);
    ann.seq = resume.last_seq;
    ann.expect_entered("ben").await?;
    ben.close().await?;
    ann.expect_left("ben").await?;
    Ok(())
}
