//! Tokens: which are not trusted, what the good ones admit, and that none of them is ever written down.

use presence_tests::{Result, Server, Stack, ensure, http::Answer, request, scenarios, tokens::Tokens};
use reqwest::Method;
use serde_json::json;

scenarios! {
    both:
        a_token_that_is_not_trusted_admits_nobody_and_is_logged_nowhere,
        a_token_admits_to_the_classrooms_it_lists,
        a_token_of_a_minute_ago_is_as_good_as_new_after_a_restart;
}

/// A part shorter than this may stand in a log by chance.
const TELLING: usize = 16;

async fn a_token_that_is_not_trusted_admits_nobody_and_is_logged_nowhere(stack: &mut Stack) -> Result<()> {
    stack.set("log.level", "debug");
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let stranger = Tokens::new(&stack.folder().join("stranger"));
    let mut tokens = hostile(stack.tokens(), &stranger)?;
    tokens.push(("of another key", stranger.of("ann")?));
    for (what, token) in &tokens {
        let mut socket = server.knock(what).await?;
        socket.ask(&request(&room, token)).await?;
        let error = socket.expect_ending("unauthenticated", 4502).await?;
        ensure!(error.status == 401, "{what}: {error:?}");
        ensure!(!format!("{error:?}").contains(token.as_str()), "{what}: the answer repeats the token");
        let path = format!("/api/v1/classrooms/{room}/agents");
        let answer = Answer::to(server.public(Method::GET, &path).bearer_auth(token)).await?;
        answer.problem(401)?;
    }
    stack.expect_nothing_written(&server, &room).await?;
    // A trusted one must not be written down either, nor the one that the HTTP port is read with.
    server.connect("ann", &room).await?.close().await?;
    tokens.extend([("trusted", server.token("ann")?), ("the reader's", server.token("reader")?)]);
    ensure_unwritten(&server, &tokens)
}

fn ensure_unwritten(server: &Server, tokens: &[(&str, String)]) -> Result<()> {
    let log = server.log.text()?;
    for (what, token) in tokens {
        let parts = token.split('.').skip(1).filter(|part| part.len() >= TELLING);
        for part in parts {
            ensure!(!log.contains(&part[..TELLING]), "the log holds a part of a token ({what})");
        }
    }
    Ok(())
}

/// One of each way not to be trusted.
fn hostile(ours: &Tokens, strangers: &Tokens) -> Result<Vec<(&'static str, String)>> {
    let (header, claims) = ours.honest("ann")?;
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().map(|claims| claims.remove(name));
        claims
    };
    let good = ours.sign(&header, &claims)?;
    let (signed, signature) = good.rsplit_once('.').unwrap_or_default();
    let (_, payload) = signed.split_once('.').unwrap_or_default();
    let unknown = jsonwebtoken::Header { kid: Some("k".repeat(43)), ..header.clone() };
    strangers.of("ann")?;
    let now = jiff::Timestamp::now().as_second();
    let ago = now - 3600;
    Ok(vec![
        ("signed by a stranger under our key's name", strangers.sign(&header, &claims)?),
        ("alg none", format!("eyJhbGciOiJub25lIn0.{payload}.")),
        ("alg NONE, with a signature", format!("eyJhbGciOiJOT05FIn0.{payload}.{signature}")),
        ("HS256 of the server's own key", ours.sign_as_shared_secret(&header, &claims)?),
        ("no signature", format!("{signed}.")),
        ("somebody else's signature", format!("{signed}.{}", signature.chars().rev().collect::<String>())),
        ("expired", ours.sign(&header, &with("exp", json!(ago)))?),
        ("not yet valid", ours.sign(&header, &with("nbf", json!(now + 3600)))?),
        ("without an end", ours.sign(&header, &without("exp"))?),
        ("without an account", ours.sign(&header, &without("sub"))?),
        ("an account with a space", ours.sign(&header, &with("sub", json!("ann of the tests")))?),
        ("of another issuer", ours.sign(&header, &with("iss", json!("https://evil.example")))?),
        ("9 KiB of claims", ours.sign(&header, &with("padding", json!("x".repeat(9 * 1024))))?),
        ("an unknown key", ours.sign(&unknown, &claims)?),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("garbage", "garbage-that-is-no-token-at-all".to_owned()),
    ])
}

async fn a_token_admits_to_the_classrooms_it_lists(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let (math, art) = (stack.classroom("math"), stack.classroom("art"));
    let token = stack.tokens().mint("ann", &["--classroom", &math, "--classroom", "music-*"])?;
    let mut socket = server.knock("ann").await?;
    socket.ask(&request(&art, &token)).await?;
    let error = socket.expect_ending("access_denied", 4503).await?;
    ensure!(error.status == 403, "{error:?}");
    stack.expect_nothing_written(&server, &art).await?;

    for room in [math.clone(), stack.classroom("music")] {
        server.connect_as("ann", &request(&room, &token)).await?.close().await?;
    }
    let read = async |room: &str| {
        let path = format!("/api/v1/classrooms/{room}/agents");
        Answer::to(server.public(Method::GET, &path).bearer_auth(&token)).await
    };
    ensure!(read(&math).await?.status == 200);
    read(&art).await?.problem(403)?;
    // Counters over any classrooms are for those who may see all.
    let count = server.public(Method::POST, "/api/v1/counters/agent").bearer_auth(&token);
    Answer::to(count.json(&json!({ "classroom_ids": [math] }))).await?.problem(403)?;
    Ok(())
}

async fn a_token_of_a_minute_ago_is_as_good_as_new_after_a_restart(stack: &mut Stack) -> Result<()> {
    let room = stack.classroom("math");
    let first = stack.start().await?;
    first.connect("ann", &room).await?.close().await?;
    stack.stop(&first).await?;
    // The key is kept in the data folder: `server.connect` shows the token that it has.
    let second = stack.start().await?;
    second.connect("ann", &room).await?.close().await
}
