//! Socket.IO v5, as its protocol and the test suite beside it describe it, packet by packet. Its part on Engine.IO is shown
//! by `engine_io.rs`, over the same path.
//!
//! What our door does otherwise, and why:
//! - There is one namespace, the main one; every other is an unknown one. A packet of a namespace that the client is
//!   not in closes its connection, as in the reference server.
//! - Nobody is let in without a token.
//! - The suite's server echoes events with their arguments and attachments; ours answers those that it knows, never
//!   with attachments, and ignores others.
//! - A DISCONNECT ends the connection: there is no other namespace that it could be kept for. A connection that is
//!   closed for what its client said hears first why (`session_error`) and a DISCONNECT, so that it does not come back.

use crate::wire::{ECHO, ECHOED, WebSocket, Wire, opened};
use presence_tests::{
    Context, Result, Server, Stack,
    app::{Opening, Person, Way},
    bail, ensure, scenarios,
};
use serde_json::{Value, json};

scenarios! {
    alone:
        a_client_is_let_in_to_the_main_namespace,
        a_token_may_come_in_the_connect_packet,
        a_client_that_is_not_let_in_hears_why,
        other_namespaces_are_unknown_and_do_no_harm,
        what_is_no_connect_packet_ends_a_connection_that_is_not_in,
        a_client_that_does_not_connect_is_closed,
        a_client_disconnects,
        a_packet_of_another_namespace_closes_the_connection,
        events_that_nobody_knows_are_ignored,
        an_event_is_acknowledged_under_its_number,
        an_event_comes_when_its_attachments_have_come,
        an_acknowledgement_of_nothing_is_ignored,
        what_is_malformed_closes_the_connection,
        attachments_that_do_not_fit_close_the_connection;
}

async fn start(stack: &mut Stack) -> Result<(Server, Person)> {
    Ok((stack.start().await?, Person::teacher("tess", "school")))
}

/// What is said between here and the end of the connection.
async fn last_words(socket: &mut WebSocket) -> Result<Vec<String>> {
    let mut words = vec![];
    while let Some(word) = socket.next().await? {
        words.push(word);
        ensure!(words.len() < 10, "it goes on: {words:?}");
    }
    Ok(words)
}

/// The connection is closed for what its client said; it is told so, and that it should not come back.
async fn expect_closed(socket: &mut WebSocket) -> Result<()> {
    let words = last_words(socket).await?;
    let [error, disconnect] = &words[..] else { bail!("expected two packets: {words:?}") };
    let error: Value = serde_json::from_str(error.strip_prefix("42").context("an event")?)?;
    ensure!(error[0] == "session_error" && error[1]["type"] == "protocol_error", "{error}");
    ensure!(disconnect == "41", "{words:?}");
    Ok(())
}

/// The acknowledgement of `log_out`, which is refused or not.
async fn acknowledged(socket: &mut WebSocket, id: &str, status: &str) -> Result<Value> {
    let answer = socket.hear().await?;
    let json = answer.strip_prefix("43").and_then(|answer| answer.strip_prefix(id));
    let answer: Value = serde_json::from_str(json.with_context(|| format!("acknowledges {id}: {answer}"))?)?;
    ensure!(answer.as_array().map(Vec::len) == Some(1) && answer[0]["status"] == status, "{answer}");
    Ok(answer[0]["data"].clone())
}

async fn a_client_is_let_in_to_the_main_namespace(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    for connect in ["40", "40{}", "40/,", "40/?a=b,{}"] {
        let mut socket = wire.websocket("EIO=4&transport=websocket").await?;
        let open = opened(&socket.hear().await?)?;
        socket.say(connect).await?;
        let answer = socket.hear().await?;
        let answer: Value = serde_json::from_str(answer.strip_prefix("40").context("let in")?)?;
        let ids: Vec<_> = ["sid", "pid"].iter().filter_map(|key| answer[key].as_str()).collect();
        ensure!(answer.as_object().map(serde_json::Map::len) == Some(2) && ids.len() == 2, "{answer}");
        // The engine's is a secret, and others see the socket's.
        ensure!(
            ids[0] != ids[1] && !ids.contains(&open["sid"].as_str().unwrap_or_default()),
            "{open} {answer}"
        );
        socket.expect_alive().await?;
    }
    Ok(())
}

async fn a_token_may_come_in_the_connect_packet(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let token = server.tokens().of_person(&person)?;
    let opening = Opening::of(&person, server.tokens())?.without("auth").by(Way::WebSocket);
    let wire = Wire::with(&server, &opening);
    for key in ["token", "auth", "access_token"] {
        let mut socket = wire.open_websocket().await?;
        socket.say(&format!("40{}", json!({ key: token }))).await?;
        let answer = socket.hear().await?;
        ensure!(answer.starts_with(r#"40{"sid":""#), "{answer}");
    }
    Ok(())
}

async fn a_client_that_is_not_let_in_hears_why(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let opening = Opening::of(&person, server.tokens())?.without("auth");
    let wire = Wire::with(&server, &opening);
    for connect in ["40", r#"40{"token":"x.y.z"}"#, r#"40{"token":7}"#, r#"40{"token":""}"#] {
        let mut socket = wire.open_websocket().await?;
        socket.say(connect).await?;
        let answer = socket.hear().await?;
        let error: Value = serde_json::from_str(answer.strip_prefix("44").context("refused")?)?;
        ensure!(error["message"].as_str().is_some_and(|message| !message.contains("x.y.z")), "{error}");
        let code = error["data"]["code"].as_str().unwrap_or_default();
        ensure!(["unauthenticated", "bad_request"].contains(&code), "{error}");
        socket.expect_end().await?;
    }
    Ok(())
}

async fn other_namespaces_are_unknown_and_do_no_harm(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let (mut outside, mut inside) = (wire.open_websocket().await?, wire.enter_websocket().await?);
    for socket in [&mut outside, &mut inside] {
        for connect in ["40/random", "40/random,", r#"40/random,{"token":"abc"}"#, "40/random?token=abc,"] {
            socket.say(connect).await?;
            let answer = socket.hear().await?;
            ensure!(answer == r#"44/random,{"message":"Invalid namespace"}"#, "{connect}: {answer}");
        }
    }
    outside.say("40").await?;
    let answer = outside.hear().await?;
    ensure!(answer.starts_with(r#"40{"sid":""#), "{answer}");
    inside.expect_alive().await
}

async fn what_is_no_connect_packet_ends_a_connection_that_is_not_in(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let mut packets = MALFORMED.to_vec();
    packets.extend(["41", r#"42["a"]"#, "431[]", r#"451-["a",{"_placeholder":true,"num":0}]"#, "41/admin,"]);
    for packet in packets {
        let mut socket = wire.open_websocket().await?;
        socket.say(packet).await?;
        if packet.starts_with("451-[") {
            socket.say_bytes(&[1]).await?;
        }
        // Nothing is said to somebody who has not been let in.
        socket.expect_end().await.with_context(|| packet.to_owned())?;
    }
    let polling = wire.open().await?;
    polling.post(r#"42["a"]"#).await?;
    let last = polling.expect_gone().await?;
    ensure!(last.iter().all(|packet| packet == "1" || packet == "6"), "{last:?}");
    Ok(())
}

async fn a_client_that_does_not_connect_is_closed(stack: &mut Stack) -> Result<()> {
    stack.set("socketio.connect_timeout", "300ms");
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let (polling, mut socket) = (wire.open().await?, wire.open_websocket().await?);
    socket.expect_end().await?;
    polling.expect_gone().await?;
    // Talking of other namespaces is not connecting.
    let mut socket = wire.open_websocket().await?;
    while socket.say(ECHO).await.is_ok() {
        match socket.next().await? {
            Some(answer) => ensure!(answer == ECHOED, "{answer}"),
            None => return Ok(()),
        }
    }
    Ok(())
}

async fn a_client_disconnects(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    for disconnect in ["41", "41/,"] {
        let mut socket = wire.enter_websocket().await?;
        socket.say(disconnect).await?;
        let words = last_words(&mut socket).await?;
        ensure!(words.is_empty(), "no answer is expected: {words:?}");
    }
    let polling = wire.enter().await?;
    polling.say("41").await?;
    let last = polling.expect_gone().await?;
    ensure!(last.iter().all(|packet| packet == "1" || packet == "6"), "{last:?}");
    Ok(())
}

async fn a_packet_of_another_namespace_closes_the_connection(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    for packet in ["41/custom", "41/custom,", r#"42/custom,["a"]"#, "43/custom,1[]"] {
        let mut socket = wire.enter_websocket().await?;
        socket.say(packet).await?;
        expect_closed(&mut socket).await.with_context(|| packet.to_owned())?;
    }
    Ok(())
}

async fn events_that_nobody_knows_are_ignored(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let mut socket = wire.enter_websocket().await?;
    for event in [
        r#"42["message",1,"2",{"3":[true]}]"#,
        r#"42[""]"#,
        r#"42456["message-with-ack",1]"#,
        r#"42["Connect"]"#,
        r#"42["message",{"_placeholder":true,"num":0}]"#,
        r#"450-["message"]"#,
    ] {
        socket.say(event).await?;
        socket.expect_alive().await.with_context(|| event.to_owned())?;
    }
    Ok(())
}

async fn an_event_is_acknowledged_under_its_number(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let mut socket = wire.enter_websocket().await?;
    let own = json!(["log_out", person.logging_out()]);
    for id in ["0", "456", "9007199254740991"] {
        socket.say(&format!("42{id}{own}")).await?;
        acknowledged(&mut socket, id, "SUCCESS").await?;
    }
    // A refusal is an answer too, and the socket lives.
    socket.say(r#"4212["log_out",{"user_id":"other","org_id":"school"}]"#).await?;
    let data = acknowledged(&mut socket, "12", "ERROR").await?;
    ensure!(data["code"] == "forbidden", "{data}");
    // In the order in which they were asked, while it polls too.
    let polling = wire.enter().await?;
    polling.say(&format!("421{own}\x1e422{own}\x1e423{own}")).await?;
    let answers = polling.hear_packets(3).await?;
    for (id, answer) in ["431", "432", "433"].iter().zip(&answers) {
        ensure!(answer.starts_with(&format!(r#"{id}[{{"status":"SUCCESS""#)), "{answers:?}");
    }
    Ok(())
}

async fn an_event_comes_when_its_attachments_have_come(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let mut socket = wire.enter_websocket().await?;
    let placeholder = |number: usize| json!({ "_placeholder": true, "num": number });
    for count in [1, 2, 10] {
        let mut event = vec![json!("log_out"), person.logging_out()];
        event.extend((0..count).map(placeholder));
        socket.say(&format!("45{count}-789{}", Value::from(event))).await?;
        for _ in 0..count {
            socket.say_bytes(&[1, 2, 3]).await?;
        }
        let data = acknowledged(&mut socket, "789", "ERROR").await?;
        ensure!(data["code"] == "bad_request", "no event of ours has attachments: {data}");
    }
    socket.say(r#"452-["message",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]"#).await?;
    socket.say_bytes(&[]).await?;
    socket.say_bytes(&vec![7; 70_000]).await?;
    socket.expect_alive().await
}

async fn an_acknowledgement_of_nothing_is_ignored(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let mut socket = wire.enter_websocket().await?;
    for ack in ["437[]", r#"430["a",1]"#] {
        socket.say(ack).await?;
        socket.expect_alive().await?;
    }
    socket.say(r#"461-15[{"_placeholder":true,"num":0}]"#).await?;
    socket.say_bytes(&[1]).await?;
    socket.expect_alive().await
}

/// Of every kind one; all of them are in the parser's own tests.
const MALFORMED: [&str; 22] = [
    "4",
    "4abc",
    "47",
    r#"44{"message":"no"}"#,
    "40[]",
    "401",
    "41{}",
    "42",
    "42{}",
    "42[]",
    "42[1]",
    r#"42["connect"]"#,
    r#"42["disconnecting"]"#,
    r#"42["newListener"]"#,
    r#"42["a""#,
    r#"42["a"]x"#,
    r#"42abc["message-with-ack",1,"2",{"3":[false]}]"#,
    r#"429007199254740992["a"]"#,
    "43[]",
    "431{}",
    r#"45["a"]"#,
    r#"4511-["a"]"#,
];

async fn what_is_malformed_closes_the_connection(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let deep = format!(r#"42["a",{}{}]"#, "[".repeat(64), "]".repeat(64));
    let many = format!(r#"42["a"{}]"#, ",1".repeat(64));
    // There is one connect packet.
    for packet in MALFORMED.into_iter().chain([&*deep, &*many, "40"]) {
        let mut socket = wire.enter_websocket().await?;
        socket.say(packet).await?;
        expect_closed(&mut socket).await.with_context(|| packet.to_owned())?;
    }
    Ok(())
}

async fn attachments_that_do_not_fit_close_the_connection(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let one = r#"451-["a",{"_placeholder":true,"num":0}]"#;
    for (announced, follows) in [
        (one, Some(r#"42["a"]"#)),
        (one, Some(one)),
        (r#"42["a"]"#, None),
        (r#"450-["a"]"#, None),
        (ECHO, None),
    ] {
        let mut socket = wire.enter_websocket().await?;
        socket.say(announced).await?;
        if announced == ECHO {
            socket.hear().await?;
        }
        match follows {
            Some(text) => socket.say(text).await?,
            None => socket.say_bytes(&[1]).await?,
        }
        expect_closed(&mut socket).await.with_context(|| announced.to_owned())?;
    }
    for announced in [
        r#"451-["a"]"#,
        r#"451-["a",{"_placeholder":true,"num":1}]"#,
        r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#,
    ] {
        let mut socket = wire.enter_websocket().await?;
        socket.say(announced).await?;
        expect_closed(&mut socket).await.with_context(|| announced.to_owned())?;
    }
    // Each fits, and all of them do not.
    let mut socket = wire.enter_websocket().await?;
    socket.say(r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await?;
    socket.say_bytes(&vec![7; 1_000_000]).await?;
    socket.say_bytes(&vec![7; 1_000_000]).await?;
    expect_closed(&mut socket).await
}
