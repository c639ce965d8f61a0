//! Classroom apps behind a balancer that knows no sticky sessions: each request reaches some replica, and is served by
//! the one that holds its connection. What becomes of them when that one, or the one in between, goes.

use futures_util::{SinkExt, StreamExt, future::try_join_all};
use presence_tests::{
    App, Balancer, Context, Opening, Person, Result, Server, Stack, Way,
    app::{self, Handshake, Polling, Refused, Stream, websocket},
    bail, ensure, scenarios,
    stack::INTERNAL_SECRET,
    within,
};
use tokio_tungstenite::tungstenite::Message;

scenarios! {
    full:
        thousands_of_polls_reach_their_connections_by_any_replica,
        an_upgrade_lands_on_any_replica_and_leads_to_the_connection,
        whoever_polls_at_an_owner_that_was_killed_is_told_at_once,
        a_tunnel_to_an_owner_that_was_killed_ends_at_once,
        an_owner_that_drains_tells_its_clients_wherever_they_poll,
        a_replica_that_ends_lets_polls_go_on_elsewhere,
        a_replica_that_ends_closes_its_tunnels,
        credentials_are_the_owners_to_judge_and_a_forged_marker_is_nobodys,
        only_replicas_may_pass_requests_on;
}

const FAILURES: [&str; 5] = ["gone", "unreachable", "refused", "unanswered", "draining"];
const TUNNELS: &str = "presence_socketio_tunnels";
const WAITING: &str = "presence_socketio_forwarding";

fn forwarded(outcome: &str) -> String {
    format!("presence_socketio_forwarded_total{{outcome=\"{outcome}\"}}")
}

async fn three(stack: &mut Stack) -> Result<[Server; 3]> {
    stack.use_redis().await?;
    let mut servers = vec![];
    for label in ["first", "second", "third"] {
        stack.set("replica.label", label);
        servers.push(stack.start().await?);
    }
    Ok(servers.try_into().expect("three were pushed"))
}

async fn balance(servers: &[Server]) -> Result<Balancer> {
    let targets: Vec<_> = servers.iter().map(|server| server.public).collect();
    Balancer::over(&targets).await
}

/// Each of them passed something on, and nothing that it passed on went wrong.
async fn expect_carried(servers: &[Server], outcome: &str) -> Result<()> {
    for server in servers {
        ensure!(server.metric(&forwarded(outcome)).await? > 0, "nothing was {outcome}");
        for failure in FAILURES {
            let failed = server.metric(&forwarded(failure)).await?;
            ensure!(failed == 0, "{failed} requests: {failure}");
        }
    }
    Ok(())
}

/// Asks for what there is not, so that nothing but the way there and back is tried.
async fn ask(app: &mut App, person: &Person, times: usize) -> Result<()> {
    for time in 0..times {
        app.ask_in_vain("join_lesson", &person.joining(&format!("no-lesson-{time}"))).await?;
    }
    Ok(())
}

fn students(count: usize) -> Vec<Person> {
    (0..count).map(|n| Person::student(&format!("student-{n}"), "school")).collect()
}

/// A connection that polls, and whose owner this is; its client is let in.
async fn polling(owner: &Server, opening: &Opening) -> Result<String> {
    let mut at_home = Polling::new(owner.public, opening, None)?;
    let first = at_home.get().await?;
    let [app::Frame::Text(open)] = &first[..] else { bail!("no handshake: {first:?}") };
    let handshake: Handshake = serde_json::from_str(open.strip_prefix('0').context("no handshake")?)?;
    at_home.name(&handshake.sid);
    at_home.post(&[app::Frame::Text("40".into())]).await?;
    let welcome = within("to be let in", at_home.get()).await??;
    ensure!(matches!(&welcome[..], [app::Frame::Text(text)] if text.starts_with("40{")), "{welcome:?}");
    Ok(handshake.sid)
}

/// The server said in Engine.IO's words why it does not serve this.
fn expect_refused<T: std::fmt::Debug>(result: Result<T>, status: u16, code: u64) -> Result<()> {
    let error = result.err().context("it was served")?;
    let refused = error.downcast_ref::<Refused>().with_context(|| format!("{error:#}"))?;
    ensure!(refused.status == status && refused.code() == Some(code), "{refused:?}");
    Ok(())
}

async fn expect_waiting(server: &Server, count: u64) -> Result<()> {
    server.expect_metric(WAITING, count).await
}

/// Makes the WebSocket that the connection goes over from here on, by whatever replica it came.
async fn change_over(stream: &mut Stream) -> Result<()> {
    stream.send(Message::text("2probe")).await?;
    let answer = within("the answer to a probe", stream.next()).await?.context("it ended")??;
    ensure!(answer == Message::text("3probe"), "{answer:?}");
    stream.send(Message::text("5")).await?;
    Ok(())
}

/// The connection ends, whatever is said before.
async fn expect_end(stream: &mut Stream) -> Result<()> {
    within("the end of a WebSocket", async { while let Some(Ok(_)) = stream.next().await {} }).await
}

async fn thousands_of_polls_reach_their_connections_by_any_replica(stack: &mut Stack) -> Result<()> {
    const APPS: usize = 20;
    const TIMES: usize = 60;
    let servers = three(stack).await?;
    let balancer = balance(&servers).await?;
    let people = students(APPS);
    let lives = people.iter().map(async |person| {
        let opening = servers[0].opening(person)?.by(Way::Polling);
        let mut app = App::connect(&person.user, balancer.address, &opening).await?;
        ask(&mut app, person, TIMES).await?;
        app.leave().await
    });
    try_join_all(lives).await?;
    expect_carried(&servers, "answered").await?;
    let carried: u64 = balancer.carried().iter().sum();
    ensure!(carried > (2 * APPS * TIMES) as u64, "only {carried} requests");
    for server in &servers {
        expect_waiting(server, 0).await?;
    }
    Ok(())
}

async fn an_upgrade_lands_on_any_replica_and_leads_to_the_connection(stack: &mut Stack) -> Result<()> {
    let servers = three(stack).await?;
    let balancer = balance(&servers).await?;
    let people = students(12);
    let connecting = people.iter().map(async |person| {
        let opening = servers[0].opening(person)?.by(Way::Upgrade);
        let mut app = App::connect(&person.user, balancer.address, &opening).await?;
        app.expect_upgraded().await?;
        ask(&mut app, person, 10).await?;
        Ok::<_, presence_tests::Error>(app)
    });
    let apps = try_join_all(connecting).await?;
    let mut tunnels = 0;
    for server in &servers {
        tunnels += server.metric(TUNNELS).await?;
    }
    ensure!(tunnels > 0, "everybody's WebSocket came to the owner by chance");
    try_join_all(apps.into_iter().map(App::close)).await?;
    for server in &servers {
        server.expect_metric(TUNNELS, 0).await?;
    }
    Ok(())
}

async fn whoever_polls_at_an_owner_that_was_killed_is_told_at_once(stack: &mut Stack) -> Result<()> {
    let [owner, second, third] = three(stack).await?;
    let opening = owner.opening(&Person::student("ann", "school"))?.by(Way::Polling);
    let sid = polling(&owner, &opening).await?;
    let (at_second, at_third) = (
        Polling::new(second.public, &opening, Some(&sid))?,
        Polling::new(third.public, &opening, Some(&sid))?,
    );
    let killing = async {
        expect_waiting(&second, 1).await?;
        stack.process(&owner).kill()
    };
    let (waited, killed) = tokio::join!(within("the poll that waits", at_second.get()), killing);
    killed?;
    expect_refused(waited?, 400, 1)?;
    expect_refused(within("a later poll", at_third.get()).await?, 400, 1)?;
    expect_refused(within("a POST", at_second.post(&[app::Frame::Text("3".into())])).await?, 400, 1)?;
    expect_refused(within("an upgrade", websocket(third.public, &opening, Some(&sid))).await?, 400, 1)
}

async fn a_tunnel_to_an_owner_that_was_killed_ends_at_once(stack: &mut Stack) -> Result<()> {
    let [owner, second, _] = three(stack).await?;
    let opening = owner.opening(&Person::student("ann", "school"))?.by(Way::Polling);
    let sid = polling(&owner, &opening).await?;
    let mut stream = websocket(second.public, &opening, Some(&sid)).await?;
    change_over(&mut stream).await?;
    second.expect_metric(TUNNELS, 1).await?;
    stack.process(&owner).kill()?;
    expect_end(&mut stream).await?;
    second.expect_metric(TUNNELS, 0).await
}

async fn an_owner_that_drains_tells_its_clients_wherever_they_poll(stack: &mut Stack) -> Result<()> {
    stack.set("session.drain_timeout", "3s");
    let [owner, second, third] = three(stack).await?;
    let balancer = balance(&[second, third]).await?;
    let person = Person::student("ann", "school");
    let opening = owner.opening(&person)?.by(Way::Polling);
    // It is opened at the owner, and everything else comes by the others.
    let sid = polling(&owner, &opening).await?;
    let polls = Polling::new(balancer.address, &opening, Some(&sid))?;
    owner.drain().await?;
    let mut told = false;
    let ended = within("the end of the connection", async {
        loop {
            match polls.get().await {
                Ok(frames) => {
                    told |= frames.iter().any(
                        |frame| matches!(frame, app::Frame::Text(text) if text.starts_with("42[\"terminated\"")),
                    );
                }
                Err(error) => return error,
            }
        }
    })
    .await?;
    ensure!(told, "it was not told to go elsewhere");
    expect_refused::<()>(Err(ended), 400, 1)
}

async fn a_replica_that_ends_lets_polls_go_on_elsewhere(stack: &mut Stack) -> Result<()> {
    let [owner, second, third] = three(stack).await?;
    let opening = owner.opening(&Person::student("ann", "school"))?.by(Way::Polling);
    let sid = polling(&owner, &opening).await?;
    let at_second = Polling::new(second.public, &opening, Some(&sid))?;
    let stopping = async {
        expect_waiting(&second, 1).await?;
        stack.stop(&second).await
    };
    let (waited, stopped) = tokio::join!(within("the poll that waits", at_second.get()), stopping);
    stopped?;
    let noop = waited??;
    ensure!(noop == [app::Frame::Text("6".into())], "{noop:?}");
    // The connection has noticed nothing.
    let at_third = Polling::new(third.public, &opening, Some(&sid))?;
    let join = r#"420["join_lesson",{"user_id":"ann","lesson_id":"none","role":"student"}]"#;
    at_third.post(&[app::Frame::Text(join.into())]).await?;
    let answer = within("an acknowledgement", at_third.get()).await??;
    ensure!(matches!(&answer[..], [app::Frame::Text(text)] if text.starts_with("430[")), "{answer:?}");
    Ok(())
}

async fn a_replica_that_ends_closes_its_tunnels(stack: &mut Stack) -> Result<()> {
    stack.set("session.leave_grace", "60s");
    let [owner, second, third] = three(stack).await?;
    let person = Person::student("ann", "school");
    let opening = owner.opening(&person)?.by(Way::Polling);
    let sid = polling(&owner, &opening).await?;
    let mut stream = websocket(second.public, &opening, Some(&sid)).await?;
    change_over(&mut stream).await?;
    second.expect_metric(TUNNELS, 1).await?;
    let (ended, stopped) = tokio::join!(expect_end(&mut stream), stack.stop(&second));
    ended?;
    stopped?;
    // Its client comes back wherever it likes.
    let mut again = App::connect(&person.user, third.public, &opening).await?;
    ask(&mut again, &person, 1).await?;
    again.leave().await
}

async fn credentials_are_the_owners_to_judge_and_a_forged_marker_is_nobodys(stack: &mut Stack) -> Result<()> {
    let [owner, second, _] = three(stack).await?;
    let person = Person::student("ann", "school");
    let whole = owner.opening(&person)?;
    let token = whole.query.iter().find(|(key, _)| key == "auth").context("no token")?.1.clone();
    let bare = whole.without("auth").by(Way::Polling);
    let opening = bare.clone().header("authorization", format!("Bearer {token}"));
    let sid = polling(&owner, &opening).await?;
    let thief = owner.opening(&Person::student("eve", "school"))?.by(Way::Polling);
    let marked = bare.clone().header("presence-client-authorization", format!("Bearer {token}"));
    let insider = marked.clone().header("authorization", format!("Bearer {INTERNAL_SECRET}"));
    for other in [&bare, &thief, &marked, &insider] {
        for server in [&owner, &second] {
            let stolen = Polling::new(server.public, other, Some(&sid))?;
            expect_refused(within("an answer", stolen.get()).await?, 403, 4)?;
        }
    }
    // A page cannot put the header into an upgrade, which may come without it, and not with another one.
    for other in [&thief, &insider] {
        for server in [&owner, &second] {
            expect_refused(websocket(server.public, other, Some(&sid)).await, 403, 4)?;
        }
    }
    // Whose it is, it still is.
    let mut stream = websocket(second.public, &opening, Some(&sid)).await?;
    change_over(&mut stream).await
}

async fn only_replicas_may_pass_requests_on(stack: &mut Stack) -> Result<()> {
    let [owner, second, _] = three(stack).await?;
    let opening = owner.opening(&Person::student("ann", "school"))?.by(Way::Polling);
    let sid = polling(&owner, &opening).await?;
    // Without the secret; and with it a request that the replica it comes to would have to pass on.
    let outsider = Polling::new(owner.internal, &opening, Some(&sid))?;
    let refused = outsider.get().await.err().context("it was served")?;
    ensure!(matches!(refused.downcast_ref(), Some(Refused { status: 401, .. })), "{refused:#}");
    let insider = opening.clone().header("authorization", format!("Bearer {INTERNAL_SECRET}"));
    let lost = Polling::new(second.internal, &insider, Some(&sid))?;
    expect_refused(within("an answer", lost.get()).await?, 400, 1)?;
    let opens = Polling::new(owner.internal, &insider, None)?;
    expect_refused(within("an answer", opens.get()).await?, 400, 1)
}
