//! Events of sibling services: who gets them, in what words, and what happens to messages that are none.

use async_nats::HeaderMap;
use presence_api::event::headers;
use presence_tests::{
    Agent, Result, Stack, agent_id, ensure,
    publisher::{ENTITY, Foreign, OPERATION},
    scenarios,
};
use serde_json::json;

scenarios! {
    full:
        both_shapes_of_a_foreign_event_read_the_same,
        receiver_sender_and_internal_are_respected,
        a_message_that_is_no_event_is_counted_and_skipped,
        what_was_published_while_away_is_heard_on_return,
        our_own_events_are_published_in_either_shape;
}

async fn expect_note(agent: &mut Agent, sequence_id: i64, seq: u64) -> Result<()> {
    let event = agent.expect_event().await?;
    let is_it = event.id.entity_type == ENTITY
        && event.id.operation == OPERATION
        && event.id.sequence_id == sequence_id
        && event.payload == json!({ "text": format!("note {sequence_id}") });
    ensure!(is_it && event.seq == seq, "expected note {sequence_id} at {seq}, got {event:?}");
    Ok(())
}

async fn both_shapes_of_a_foreign_event_read_the_same(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let (room, other) = (stack.classroom("math"), stack.classroom("art"));
    let publisher = stack.publisher().await?;
    let mut ann = server.connect("ann", &room).await?;
    let mut ben = server.connect("ben", &other).await?;
    let bare = publisher.bare(&Foreign::new(&room, 1)).await?;
    let enveloped = publisher.enveloped(&Foreign::new(&room, 2)).await?;
    expect_note(&mut ann, 1, bare).await?;
    expect_note(&mut ann, 2, enveloped).await?;
    ann.expect_quiet(&server, &room).await?;
    ben.expect_quiet(&server, &other).await
}

async fn receiver_sender_and_internal_are_respected(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let publisher = stack.publisher().await?;
    let mut ann = server.connect("ann", &room).await?;
    let mut ben = server.connect("ben", &room).await?;
    ann.expect_entered("ben").await?;
    let (ann_id, ben_id) = (agent_id("ann"), agent_id("ben"));

    publisher.bare(&Foreign { internal: true, ..Foreign::new(&room, 1) }).await?;
    let to_ben = Foreign { receiver: Some(&ben_id), ..Foreign::new(&room, 2) };
    let to_ben = publisher.bare(&to_ben).await?;
    let of_ann = publisher.enveloped(&Foreign { sender: &ann_id, ..Foreign::new(&room, 3) }).await?;
    let secret = Foreign { receiver: Some(&ann_id), internal: true, ..Foreign::new(&room, 4) };
    publisher.enveloped(&secret).await?;
    let to_nobody = Foreign { receiver: Some("web.nobody.school.example"), ..Foreign::new(&room, 5) };
    publisher.enveloped(&to_nobody).await?;
    let to_all = publisher.bare(&Foreign::new(&room, 6)).await?;

    expect_note(&mut ben, 2, to_ben).await?;
    expect_note(&mut ben, 3, of_ann).await?;
    expect_note(&mut ben, 6, to_all).await?;
    expect_note(&mut ann, 6, to_all).await
}

async fn a_message_that_is_no_event_is_counted_and_skipped(stack: &mut Stack) -> Result<()> {
    const HUGE: usize = 70 * 1024;
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let publisher = stack.publisher().await?;
    let mut ann = server.connect("ann", &room).await?;
    let mut partly = HeaderMap::new();
    partly.insert(headers::EVENT_TYPE, ENTITY);
    for (map, body) in [
        (HeaderMap::new(), b"{".to_vec()),
        (HeaderMap::new(), b"\xff\xfe".to_vec()),
        (HeaderMap::new(), b"{}".to_vec()),
        (partly, b"{}".to_vec()),
        (HeaderMap::new(), vec![b' '; HUGE]),
    ] {
        publisher.publish(&room, map, body).await?;
    }
    let good = publisher.bare(&Foreign::new(&room, 1)).await?;
    expect_note(&mut ann, 1, good).await?;
    for (kind, count) in [("body", 2), ("id", 2), ("too_large", 1)] {
        let name = format!("presence_events_poison_total{{kind=\"{kind}\"}}");
        server.expect_metric(&name, count).await?;
    }
    ann.expect_quiet(&server, &room).await
}

async fn what_was_published_while_away_is_heard_on_return(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let publisher = stack.publisher().await?;
    let ann = server.connect("ann", &room).await?;
    let ann_id = ann.id.clone();
    let resume = ann.resume();
    ann.vanish().await;
    let first = publisher.bare(&Foreign::new(&room, 1)).await?;
    publisher.bare(&Foreign { internal: true, ..Foreign::new(&room, 2) }).await?;
    publisher.bare(&Foreign { sender: &ann_id, ..Foreign::new(&room, 3) }).await?;
    publisher.publish(&room, HeaderMap::new(), b"no event".to_vec()).await?;
    let last = publisher.enveloped(&Foreign { receiver: Some(&ann_id), ..Foreign::new(&room, 4) }).await?;

    let mut ann = server.resume("ann", &room, resume).await?;
    ensure!(ann.welcome.resumed, "{:?}", ann.welcome);
    ann.seq = resume.last_seq;
    expect_note(&mut ann, 1, first).await?;
    expect_note(&mut ann, 4, last).await?;
    ann.expect_quiet(&server, &room).await
}

async fn our_own_events_are_published_in_either_shape(stack: &mut Stack) -> Result<()> {
    let room = stack.classroom("math");
    for shape in ["envelope", "payload"] {
        stack.set("bus.event_body", shape);
        let server = stack.start().await?;
        let mut witness = stack.publisher().await?.witness(&room).await?;
        let ann = server.connect("ann", &room).await?;
        let message = witness.next().await?;
        ensure!(message.subject == format!("classroom.{room}.agent"), "{message:?}");
        let session_id = ann.session_id().to_string();
        let payload = json!({
            "version": "v1", "entity_type": "agent", "label": "entered", "agent_id": agent_id("ann"),
        });
        let id = json!({ "entity_type": "agent", "operation": "entered", "sequence_id": ann.session_id() });
        let expected = if shape == "payload" { payload } else { json!({ "id": id, "payload": payload }) };
        ensure!(message.body == expected, "{message:?}");
        for (name, value) in [
            (headers::MSG_ID, format!("{session_id}:entered")),
            (headers::EVENT_TYPE, "agent".into()),
            (headers::EVENT_OPERATION, "entered".into()),
            (headers::EVENT_SEQUENCE_ID, session_id.clone()),
            (headers::SENDER, agent_id("ann")),
            (headers::INTERNAL, "false".into()),
        ] {
            ensure!(
                message.headers.get(name).is_some_and(|found| found.as_str() == value),
                "{name}: {message:?}"
            );
        }
        ann.close().await?;
        let left = witness.next().await?;
        let id = left.headers.get(headers::MSG_ID).map(|id| id.as_str().to_owned());
        ensure!(id == Some(format!("{session_id}:left")), "{left:?}");
        stack.stop(&server).await?;
    }
    Ok(())
}
