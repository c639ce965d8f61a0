//! Engine.IO v4, as its protocol and the test suite beside it describe it, packet by packet.
//!
//! The suite's server echoes messages; ours serves classrooms. So what comes back here is the answer to a Socket.IO
//! connect packet of a namespace that nobody has, which the server gives at any time. And ours pings those whom it has
//! let in: before that, `socketio.connect_timeout` ends a connection.

use crate::wire::{ECHO, ECHOED, Polling, SEPARATOR, WebSocket, Wire, opened, refused};
use presence_tests::{Context, Result, Server, Stack, app::Person, ensure, eventually, scenarios};
use reqwest::Method;
use serde_json::json;

scenarios! {
    alone:
        a_handshake_says_what_a_client_must_know,
        a_handshake_that_is_none_is_refused_by_its_number,
        a_request_of_no_connection_is_refused,
        packets_come_and_go_in_order_while_a_client_polls,
        packets_come_and_go_over_a_websocket,
        a_body_that_is_no_packets_closes_the_connection,
        a_frame_that_is_no_packet_closes_the_connection,
        what_is_too_large_closes_the_connection,
        a_second_poll_closes_the_connection,
        a_poll_whose_client_has_gone_closes_the_connection,
        pings_and_pongs_keep_a_connection,
        a_client_without_pongs_is_closed,
        a_client_closes_by_a_packet,
        a_client_changes_over_to_a_websocket,
        what_waits_for_a_poll_comes_over_the_websocket,
        after_its_upgrade_a_connection_has_one_websocket_and_no_polls,
        a_probe_that_leads_nowhere_leaves_the_polls_alone;
}

async fn start(stack: &mut Stack) -> Result<(Server, Person)> {
    Ok((stack.start().await?, Person::teacher("tess", "school")))
}

/// Pings come that often; a pong has that long.
fn ping(stack: &mut Stack, interval: &str, timeout: &str) {
    stack.set("socketio.ping_interval", interval);
    stack.set("socketio.ping_timeout", timeout);
}

async fn a_handshake_says_what_a_client_must_know(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let polling = wire.open().await?.open;
    let mut socket = wire.websocket("EIO=4&transport=websocket").await?;
    let websocket = opened(&socket.hear().await?)?;
    for (mut open, upgrades) in [(polling.clone(), json!(["websocket"])), (websocket.clone(), json!([]))] {
        let sid = open.as_object_mut().and_then(|open| open.remove("sid"));
        ensure!(sid.and_then(|sid| Some(sid.as_str()?.len())) == Some(44), "128 bits and whose they are");
        let expected = json!({
            "upgrades": upgrades, "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 1_200_000,
        });
        ensure!(open == expected, "{open}");
    }
    ensure!(polling["sid"] != websocket["sid"], "two connections have one sid");
    socket.expect_alive().await
}

async fn a_handshake_that_is_none_is_refused_by_its_number(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let (transport, method, request, version) = (0, 2, 3, 5);
    for (asked, query, code) in [
        (Method::GET, "transport=polling", version),
        (Method::GET, "EIO=abc&transport=polling", version),
        (Method::GET, "EIO=3&transport=polling", version),
        (Method::GET, "EIO=4", transport),
        (Method::GET, "EIO=4&transport=abc", transport),
        (Method::GET, "EIO=4&transport=webtransport", transport),
        (Method::POST, "EIO=4&transport=polling", method),
        (Method::PUT, "EIO=4&transport=polling", method),
        // No WebSocket is asked for.
        (Method::GET, "EIO=4&transport=websocket", request),
        (Method::GET, "EIO=4&EIO=4&transport=polling", request),
    ] {
        refused(&wire.ask(asked.clone(), query, "").await?, code)
            .with_context(|| format!("{asked} {query}"))?;
    }
    for (query, code) in [
        ("transport=websocket", version),
        ("EIO=abc&transport=websocket", version),
        ("EIO=4", transport),
        ("EIO=4&transport=abc", transport),
    ] {
        wire.refused_websocket(query, code).await?;
    }
    Ok(())
}

async fn a_request_of_no_connection_is_refused(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let unknown = "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for query in [unknown, "EIO=4&transport=polling&sid=abc", "EIO=4&transport=polling&sid="] {
        refused(&wire.ask(Method::GET, query, "").await?, 1)?;
        refused(&wire.ask(Method::POST, query, "40").await?, 1)?;
        wire.refused_websocket(&query.replace("polling", "websocket"), 1).await?;
    }
    let polling = wire.open().await?;
    refused(&wire.ask(Method::PUT, &polling.query, "40").await?, 3)?;
    // Of a connection each request says the version too.
    refused(&wire.ask(Method::GET, &polling.query.replace("EIO=4&", ""), "").await?, 5)?;
    polling.say(ECHO).await?;
    ensure!(polling.hear().await? == ECHOED, "it has done the connection no harm");
    Ok(())
}

fn named(number: usize) -> (String, String) {
    let name = format!("/{number}-€\u{1f600}");
    (format!("40{name},"), format!(r#"44{name},{{"message":"Invalid namespace"}}"#))
}

async fn packets_come_and_go_in_order_while_a_client_polls(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let polling = wire.enter().await?;
    polling.say(ECHO).await?;
    ensure!(polling.hear().await? == ECHOED, "one packet");
    let (said, answers): (Vec<_>, Vec<_>) = (0..64).map(named).unzip();
    for count in [3, 64] {
        polling.say(&said[..count].join(&SEPARATOR.to_string())).await?;
        let heard = polling.hear_packets(count).await?;
        ensure!(heard == answers[..count], "{heard:?}");
    }
    // Texts and bytes: the event is answered when its attachment has come.
    polling.say("451-7[\"log_out\",{\"_placeholder\":true,\"num\":0}]\x1ebAQIDBA==").await?;
    let answer = polling.hear().await?;
    ensure!(answer.starts_with(r#"437[{"status":"ERROR""#), "{answer}");
    Ok(())
}

async fn packets_come_and_go_over_a_websocket(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let mut socket = wire.enter_websocket().await?;
    for number in 0..64 {
        socket.say(&named(number).0).await?;
    }
    for number in 0..64 {
        ensure!(socket.hear().await? == named(number).1, "in order");
    }
    // Bytes go as they are, or in base64 from those who cannot send any.
    for base64 in [false, true] {
        socket.say(r#"451-7["log_out",{"_placeholder":true,"num":0}]"#).await?;
        if base64 {
            socket.say("bAQIDBA==").await?;
        } else {
            socket.say_bytes(&[1, 2, 3, 4]).await?;
        }
        let answer = socket.hear().await?;
        ensure!(answer.starts_with(r#"437[{"status":"ERROR""#), "{answer}");
    }
    // A noop says nothing.
    socket.say("6").await?;
    socket.expect_alive().await
}

async fn a_body_that_is_no_packets_closes_the_connection(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let too_many = [ECHO; 65].join(&SEPARATOR.to_string());
    for body in ["abc", "", "0", "2", "2probe", "7", "bAQIDBA", "4\x1e", &format!("{ECHO}\x1eabc"), &too_many]
    {
        let polling = wire.open().await?;
        let answer = polling.post(body.to_owned()).await?;
        // A probe is a packet, and only out of place.
        ensure!(body == "2probe" || answer.status == 400, "{body:?} was answered with {answer:?}");
        let last = polling.expect_gone().await?;
        // Nothing of it was taken.
        ensure!(last.iter().all(|packet| packet == "1" || packet == "6"), "{body:?}: {last:?}");
    }
    // Bytes that are no text, and those of the protocol's third version.
    let polling = wire.open().await?;
    ensure!(polling.post(vec![b'4', 0xff]).await?.status == 400, "no UTF-8");
    polling.expect_gone().await.map(drop)
}

async fn a_frame_that_is_no_packet_closes_the_connection(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    for frame in ["abc", "", "0", "2", "2probe", "7", "bAQIDBA", "40/echo,\x1e40/echo,"] {
        let mut socket = wire.open_websocket().await?;
        socket.say(frame).await?;
        socket.expect_end().await.with_context(|| format!("{frame:?}"))?;
    }
    Ok(())
}

async fn what_is_too_large_closes_the_connection(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    // An event that nobody knows, of so many bytes with its Engine.IO type.
    let event = |bytes: usize| format!(r#"42["{}"]"#, "x".repeat(bytes - r#"42[""]"#.len()));
    // Before a client is in, and after.
    let (little, much) = (64 * 1024, 1_200_000);
    let polling = wire.open().await?;
    expect_too_large(&polling, event(little + 1)).await?;
    let polling = wire.enter().await?;
    polling.say(&event(much)).await.context("as much as may be said")?;
    polling.expect_alive().await?;
    expect_too_large(&polling, event(much + 1)).await?;
    let mut socket = wire.open_websocket().await?;
    socket.say(&event(little + 1)).await?;
    socket.expect_end().await?;
    let mut socket = wire.enter_websocket().await?;
    socket.say(&event(much)).await?;
    socket.expect_alive().await?;
    socket.say(&event(much + 1)).await?;
    // It is told why, and not to come back.
    ensure!(socket.hear().await?.contains("message_too_big") && socket.hear().await? == "41", "closed");
    socket.expect_end().await
}

/// The answer may be lost, and the TCP connection with it: the server does not read what it refuses.
async fn expect_too_large(polling: &Polling<'_>, body: String) -> Result<()> {
    let answer = polling.post(body).await;
    ensure!(answer.as_ref().map_or(true, |answer| answer.status == 413), "{answer:?}");
    eventually("the connection to be gone", async || polling.expect_gone().await).await.map(drop)
}

async fn a_second_poll_closes_the_connection(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let polling = wire.open().await?;
    let (one, other) = tokio::try_join!(polling.get(), polling.get())?;
    // Whichever came second.
    let (waited, second) = if one.status == 200 { (one, other) } else { (other, one) };
    ensure!(waited.body == "1", "the one that waited: {waited:?}");
    refused(&second, 3)?;
    polling.expect_gone().await.map(drop)
}

async fn a_poll_whose_client_has_gone_closes_the_connection(stack: &mut Stack) -> Result<()> {
    // A poll that waits all the same comes back soon.
    ping(stack, "500ms", "400ms");
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    // A server need not have looked at a request before its sender goes: then nothing was lost with it, and here is
    // another try.
    eventually("the connection to be closed", async || {
        let polling = wire.enter().await?;
        let poll = wire.begin_get(&polling.query).await?;
        server.expect_ready().await?;
        drop(poll);
        server.expect_ready().await?;
        refused(&polling.get().await?, 1)
    })
    .await
}

async fn pings_and_pongs_keep_a_connection(stack: &mut Stack) -> Result<()> {
    ping(stack, "1s", "900ms");
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let (polling, mut socket) = (wire.enter().await?, wire.enter_websocket().await?);
    let polls = async {
        for _ in 0..3 {
            let ping = polling.hear().await?;
            ensure!(ping == "2", "expected a ping: {ping}");
            polling.say("3").await?;
        }
        polling.say(ECHO).await?;
        polling.hear_packets(1).await.map(drop)
    };
    let frames = async {
        for _ in 0..3 {
            let ping = socket.hear().await?;
            ensure!(ping == "2", "expected a ping: {ping}");
            socket.say("3").await?;
        }
        socket.expect_alive().await
    };
    tokio::try_join!(polls, frames).map(drop)
}

async fn a_client_without_pongs_is_closed(stack: &mut Stack) -> Result<()> {
    ping(stack, "300ms", "200ms");
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let (polling, mut socket) = (wire.enter().await?, wire.enter_websocket().await?);
    let last = polling.expect_gone().await?;
    ensure!(last.iter().all(|packet| ["2", "1", "6"].contains(&packet.as_str())), "{last:?}");
    let ping = socket.hear().await?;
    ensure!(ping == "2", "expected a ping: {ping}");
    socket.expect_end().await?;
    // One that does not poll either.
    let silent = wire.enter().await?;
    server.expect_metric("presence_socketio_polling_clients", 0).await?;
    refused(&silent.get().await?, 1)
}

async fn a_client_closes_by_a_packet(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let polling = wire.enter().await?;
    // One of the two comes first; a poll that waits is let go, one that comes later finds nobody.
    let (waited, closed) = tokio::try_join!(polling.get(), polling.post("1"))?;
    ensure!(closed.body == "ok", "{closed:?}");
    ensure!(waited.status == 400 || waited.body == "6", "{waited:?}");
    refused(&polling.get().await?, 1)?;
    let mut socket = wire.enter_websocket().await?;
    socket.say("1").await?;
    socket.expect_end().await
}

/// A poll and a WebSocket that has been probed.
async fn probed(wire: &Wire<'_>, polling: &Polling<'_>) -> Result<WebSocket> {
    let mut socket = wire.websocket(&polling.upgrade()).await?;
    socket.say("2probe").await?;
    let answer = socket.hear().await?;
    ensure!(answer == "3probe", "{answer}");
    Ok(socket)
}

async fn a_client_changes_over_to_a_websocket(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let polling = wire.enter().await?;
    // A poll that waits is let go by the probe, and so is one that comes after it.
    let (mut socket, waited) = tokio::try_join!(probed(&wire, &polling), polling.hear())?;
    ensure!(waited == "6", "{waited}");
    ensure!(polling.hear().await? == "6", "a poll between probe and upgrade");
    socket.say("5").await?;
    socket.expect_alive().await?;
    socket.say(r#"421["log_out",{"user_id":"tess","org_id":"school"}]"#).await?;
    let answer = socket.hear().await?;
    ensure!(
        answer.starts_with(r#"431[{"status":"SUCCESS""#),
        "it is the connection that was let in: {answer}"
    );
    Ok(())
}

async fn what_waits_for_a_poll_comes_over_the_websocket(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let polling = wire.enter().await?;
    let (said, answers): (Vec<_>, Vec<_>) = (0..20).map(named).unzip();
    polling.say(&said.join(&SEPARATOR.to_string())).await?;
    let mut socket = polling.change_over().await?;
    for expected in answers {
        let heard = socket.hear().await?;
        ensure!(heard == expected, "none lost, none twice: {heard}");
    }
    socket.expect_alive().await
}

async fn after_its_upgrade_a_connection_has_one_websocket_and_no_polls(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let polling = wire.open().await?;
    let mut socket = polling.change_over().await?;
    socket.expect_alive().await?;
    refused(&polling.get().await?, 1)?;
    refused(&polling.post(ECHO).await?, 1)?;
    wire.refused_websocket(&polling.upgrade(), 1).await?;
    socket.expect_alive().await
}

async fn a_probe_that_leads_nowhere_leaves_the_polls_alone(stack: &mut Stack) -> Result<()> {
    let (server, person) = start(stack).await?;
    let wire = Wire::of(&server, &person)?;
    let polling = wire.open().await?;
    for instead in [Some("5"), Some("3probe"), Some(ECHO), None] {
        let mut socket = wire.websocket(&polling.upgrade()).await?;
        // A second one at a time.
        wire.refused_websocket(&polling.upgrade(), 3).await?;
        if let Some(instead) = instead {
            socket.say(instead).await?;
            socket.expect_end().await?;
        }
        drop(socket);
        polling.expect_alive().await?;
        drop(eventually("another try to be allowed", async || probed(&wire, &polling).await).await?);
        polling.expect_alive().await?;
    }
    Ok(())
}
