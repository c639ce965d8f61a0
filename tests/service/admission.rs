//! Who gets a socket at all: by its page's origin, and by how many wait already without having shown a token.

use presence_tests::{Result, Server, Socket, Stack, bail, ensure, eventually, scenarios, socket::Refused};

scenarios! {
    both:
        only_pages_of_listed_origins_get_a_socket,
        an_address_has_only_so_many_places_to_wait,
        all_addresses_together_have_only_so_many;
}

/// The status that a handshake is refused with.
async fn refusal(server: &Server, headers: &[(&'static str, &str)]) -> Result<u16> {
    match Socket::open_with("somebody", server.public, headers).await {
        Ok(_) => bail!("a socket was opened with {headers:?}"),
        Err(error) => Ok(error.downcast::<Refused>()?.0),
    }
}

async fn only_pages_of_listed_origins_get_a_socket(stack: &mut Stack) -> Result<()> {
    stack.set("public.origins", "https://app.example,https://school.example:8443");
    let server = stack.start().await?;
    for origin in ["https://app.example", "https://school.example:8443"] {
        Socket::open_with("a page", server.public, &[("origin", origin)]).await?;
    }
    Socket::open("an app, which has no origin", server.public).await?;
    let host = format!("http://{}", server.public);
    let others = [
        "null",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://APP.example",
        "https://app.example/",
        &host,
    ];
    for origin in others {
        ensure!(refusal(&server, &[("origin", origin)]).await? == 403, "{origin}");
    }
    server.expect_metric(r#"presence_refused_total{cause="origin"}"#, 8).await
}

async fn an_address_has_only_so_many_places_to_wait(stack: &mut Stack) -> Result<()> {
    stack.set("native.max_unauthenticated_per_address", 3);
    let server = stack.start().await?;
    let room = stack.classroom("math");
    // Whoever has shown a token takes no place.
    let mut agents = vec![];
    for account in ["ann", "ben", "carl", "dora"] {
        agents.push(server.connect(account, &room).await?);
    }
    let mut waiting = vec![];
    for _ in 0..3 {
        waiting.push(server.knock("somebody").await?);
    }
    ensure!(refusal(&server, &[]).await? == 429);
    // Nobody is believed who is no proxy of ours.
    ensure!(refusal(&server, &[("x-forwarded-for", "203.0.113.9")]).await? == 429);
    drop(waiting);
    eventually("a place to come back", async || server.knock("somebody").await).await?;
    server.expect_metric("presence_unauthenticated_sockets", 0).await
}

async fn all_addresses_together_have_only_so_many(stack: &mut Stack) -> Result<()> {
    stack.set("native.max_unauthenticated", 4);
    stack.set("native.max_unauthenticated_per_address", 2);
    stack.set("public.trusted_proxies", "127.0.0.0/8");
    let server = stack.start().await?;
    let behind = |address: &'static str| [("x-forwarded-for", address)];
    let mut waiting = vec![];
    for address in ["203.0.113.1", "203.0.113.1", "203.0.113.2"] {
        waiting.push(Socket::open_with("somebody", server.public, &behind(address)).await?);
    }
    ensure!(refusal(&server, &behind("203.0.113.1")).await? == 429);
    waiting.push(Socket::open_with("somebody", server.public, &behind("203.0.113.2")).await?);
    ensure!(refusal(&server, &behind("203.0.113.3")).await? == 503);
    waiting.pop();
    let third = behind("203.0.113.3");
    eventually("a place to come back", async || Socket::open_with("x", server.public, &third).await).await?;
    Ok(())
}
