//! The first frame: whatever it is but a good `connect_request`, it is answered by name, and leaves nothing behind.

use presence_api::frames::SessionError;
use presence_tests::{Result, Server, Stack, ensure, scenarios};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

scenarios! {
    both:
        a_first_frame_of_another_kind_is_unsupported,
        a_frame_that_is_no_json_is_said_to_be_none,
        each_field_is_named_when_it_is_missing_empty_or_outside_its_grammar,
        ids_that_could_widen_a_subject_get_nowhere,
        unknown_fields_of_a_newer_client_are_ignored;
}

async fn refused(server: &Server, frame: Message, kind: &str, code: u16) -> Result<SessionError> {
    let mut socket = server.knock("somebody").await?;
    socket.send(frame).await?;
    let error = socket.expect_ending(kind, code).await?;
    ensure!(
        error.status == 422 && !error.title.is_empty() && error.reconnect_after_ms.is_none(),
        "{error:?}"
    );
    Ok(error)
}

async fn failed(server: &Server, frame: &str) -> Result<String> {
    let error = refused(server, Message::text(frame), "serialization_failed", 4501).await?;
    Ok(error.detail.unwrap_or_default())
}

/// A good request, but for one field.
fn spoilt(good: &Value, field: &str, value: Option<Value>) -> String {
    let mut frame = good.clone();
    let payload = frame["payload"].as_object_mut().into_iter().next();
    if let Some(payload) = payload {
        match value {
            Some(value) => payload.insert(field.into(), value),
            None => payload.remove(field),
        };
    }
    frame.to_string()
}

fn good(server: &Server, classroom: &str) -> Result<Value> {
    let token = server.token("ann")?;
    Ok(json!({
        "type": "connect_request",
        "payload": { "agent_label": "web", "classroom_id": classroom, "token": token },
    }))
}

async fn a_first_frame_of_another_kind_is_unsupported(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let good = good(&server, &room)?;
    let frames = [
        Message::binary(good.to_string().into_bytes()),
        Message::binary(vec![]),
        Message::text("[]"),
        Message::text("null"),
        Message::text("17"),
        Message::text(r#""connect_request""#),
        Message::text(json!({ "type": "disconnect_request", "payload": good["payload"] }).to_string()),
        Message::text(json!({ "type": ["connect_request"], "payload": good["payload"] }).to_string()),
    ];
    for frame in frames {
        refused(&server, frame, "unsupported_request", 4500).await?;
    }
    stack.expect_nothing_written(&server, &room).await
}

async fn a_frame_that_is_no_json_is_said_to_be_none(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let half = good(&server, &room)?.to_string();
    let deep = "[".repeat(10_000);
    for text in ["", "connect_request", "{", &half[..half.len() - 1], &deep] {
        let detail = failed(&server, text).await?;
        ensure!(detail.contains("JSON"), "{text:.40}: {detail}");
    }
    stack.expect_nothing_written(&server, &room).await
}

async fn each_field_is_named_when_it_is_missing_empty_or_outside_its_grammar(
    stack: &mut Stack,
) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let good = good(&server, &room)?;
    for (frame, field) in [("{}", "type"), (r#"{"type":"connect_request"}"#, "payload")] {
        let detail = failed(&server, frame).await?;
        ensure!(detail.contains(field), "{frame}: {detail}");
    }
    for field in ["agent_label", "classroom_id", "token"] {
        let wrong = [None, Some(json!("")), Some(json!(7)), Some(Value::Null), Some(json!({ "is": "a" }))];
        for value in wrong {
            let detail = failed(&server, &spoilt(&good, field, value.clone())).await?;
            ensure!(detail.contains(field), "{field} = {value:?}: {detail}");
        }
    }
    for label in ["a.b", "*", "web client", "w\u{e9}b", &"x".repeat(65)] {
        let detail = failed(&server, &spoilt(&good, "agent_label", Some(json!(label)))).await?;
        ensure!(detail.contains("agent_label") && !detail.contains(label), "{label:?}: {detail}");
    }
    let resumes = [
        (json!(7), "resume"),
        (json!({ "session_id": 1 }), "last_seq"),
        (json!({ "session_id": -1, "last_seq": 1 }), "session_id"),
        (json!({ "session_id": 1, "last_seq": "1" }), "last_seq"),
        (json!({ "session_id": 1.5, "last_seq": 1 }), "session_id"),
    ];
    for (resume, field) in resumes {
        let detail = failed(&server, &spoilt(&good, "resume", Some(resume.clone()))).await?;
        ensure!(detail.contains(field), "{resume}: {detail}");
    }
    stack.expect_nothing_written(&server, &room).await
}

async fn ids_that_could_widen_a_subject_get_nowhere(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let good = good(&server, &room)?;
    let long = "x".repeat(65);
    let bad = ["*", ">", "a.b", "a b", "a:b", "a/b", "a\r\nb", "\u{430}", "a\0b", long.as_str()];
    for id in bad {
        let detail = failed(&server, &spoilt(&good, "classroom_id", Some(json!(id)))).await?;
        ensure!(detail.contains("classroom_id") && !detail.contains(id), "{id:?}: {detail}");
    }
    stack.expect_nothing_written(&server, &room).await
}

async fn unknown_fields_of_a_newer_client_are_ignored(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut frame = good(&server, &room)?;
    frame["newer"] = json!(true);
    frame["payload"]["newer"] = json!({ "than": "us" });
    frame["payload"]["resume"] = Value::Null;
    let mut socket = server.knock("ann").await?;
    socket.say(&frame.to_string()).await?;
    socket.expect_connected().await?;
    Ok(())
}
