//! A client that does not read: it costs the server a bounded queue, and the classroom nothing.

use presence_tests::{Result, Stack, ensure, publisher::Foreign, scenarios};
use serde_json::json;

scenarios! {
    full:
        whoever_does_not_read_is_closed_and_the_others_hear_everything;
}

/// More than the kernel's buffers and a queue hold, in events of this size.
const FLOOD: i64 = 300;
const PAYLOAD: usize = 48 * 1024;

async fn whoever_does_not_read_is_closed_and_the_others_hear_everything(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "0s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let publisher = stack.publisher().await?;
    let mut ann = server.connect("ann", &room).await?;
    let mut raw = server.connect_raw("ben", &room).await?;
    ann.expect_entered("ben").await?;

    let mut left = false;
    for sequence_id in 1..=FLOOD {
        let payload = json!({ "text": "x".repeat(PAYLOAD) });
        let seq = publisher.bare(&Foreign { payload, ..Foreign::new(&room, sequence_id) }).await?;
        loop {
            let event = ann.expect_event().await?;
            if event.seq == seq {
                break;
            }
            // What comes in between is that ben is gone.
            ensure!(event.id.operation == "left" && !left, "{:?}", event.id);
            left = true;
        }
    }
    if !left {
        ann.expect_left("ben").await?;
    }
    server.expect_metric(r#"presence_closes_total{reason="slow_consumer"}"#, 1).await?;
    ensure!(server.metric("presence_queue_overflows_total").await? >= 1);
    let ending = raw.ending().await?;
    // It hears so if it reads in time; else the connection is simply gone.
    ensure!(matches!(ending.code, None | Some(4003)), "{ending:?}");
    ann.expect_quiet(&server, &room).await?;
    server.expect_present(&room, &["ann"]).await
}
