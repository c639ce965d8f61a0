//! The public HTTP API and the health port: what they answer, whom, and in which words.

use presence_api::http::Attendance;
use presence_tests::{
    Result, Stack, agent_id, ensure,
    http::{Answer, interval},
    scenarios,
};
use reqwest::{Method, header::LINK};
use serde_json::{Value, json};

scenarios! {
    both:
        bad_classroom_ids_are_problems_on_every_route,
        nobody_reads_without_a_token,
        agents_are_listed_a_page_at_a_time,
        counters_count_those_present,
        attendance_shows_stays_that_last_and_stays_that_ended,
        the_api_describes_itself,
        what_does_not_exist_is_a_problem_too,
        health_is_told_to_anybody_and_names_nobody;
}

async fn bad_classroom_ids_are_problems_on_every_route(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let long = "x".repeat(65);
    for id in ["", "%2A", "%3E", "a%2Eb", "a%20b", "a%0D%0Ab", "a%3Ab", "%D0%B0", "%FF", long.as_str()] {
        for route in ["agents", "attendance"] {
            let problem = server.get(&format!("/api/v1/classrooms/{id}/{route}")).await?.problem(400)?;
            ensure!(problem.kind == "urn:presence:problem:invalid_request", "{id} {route}: {problem:?}");
            ensure!(problem.detail.is_some_and(|detail| detail.contains("classroom_id")), "{id} {route}");
        }
    }
    for id in ["", "*", ">", "a.b", "a\r\nb", long.as_str()] {
        let body = json!({ "classroom_ids": ["math", id] });
        let problem = server.post("/api/v1/counters/agent", &body).await?.problem(400)?;
        ensure!(problem.detail.is_some_and(|detail| detail.contains("classroom_ids[1]")), "{id:?}");
    }
    let bodies = [
        json!({}),
        json!([]),
        json!({ "classroom_ids": "math" }),
        json!({ "classroom_ids": vec!["m"; 1001] }),
    ];
    for body in bodies {
        server.post("/api/v1/counters/agent", &body).await?.problem(400)?;
    }
    let large = json!({ "classroom_ids": vec!["x".repeat(64); 1000] });
    server.post("/api/v1/counters/agent", &large).await?.problem(413)?;
    Ok(())
}

async fn nobody_reads_without_a_token(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let routes = [
        (Method::GET, format!("/api/v1/classrooms/{room}/agents")),
        (Method::GET, format!("/api/v1/classrooms/{room}/attendance")),
        (Method::POST, "/api/v1/counters/agent".to_owned()),
    ];
    for (method, path) in routes {
        let bare = || server.public(method.clone(), &path).json(&json!({ "classroom_ids": [room] }));
        let refused = [
            bare(),
            bare().bearer_auth(""),
            bare().bearer_auth("garbage"),
            bare().basic_auth("ann", Some("secret")),
        ];
        for request in refused {
            let answer = Answer::to(request).await?;
            answer.problem(401)?;
            ensure!(answer.headers.contains_key("www-authenticate"), "{answer:?}");
        }
    }
    Ok(())
}

async fn agents_are_listed_a_page_at_a_time(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut agents = vec![];
    for account in ["ann", "ben", "carl", "dora", "emil"] {
        agents.push(server.connect(account, &room).await?);
    }
    let all: Vec<_> = agents.iter().map(|agent| (agent.session_id(), agent.id.clone())).collect();
    let mut seen = vec![];
    let mut after = 0;
    loop {
        let page = server.agents(&room, &format!("?sequence_id={after}&limit=2")).await?;
        ensure!(page.len() <= 2, "{page:?}");
        let Some(last) = page.last() else { break };
        after = last.id;
        seen.extend(page.into_iter().map(|agent| (agent.id, agent.agent_id)));
    }
    ensure!(seen == all, "pages: {seen:?}, present: {all:?}");
    for query in ["?limit=0", "?limit=1001", "?limit=-1", "?limit=two", "?sequence_id=x"] {
        let path = format!("/api/v1/classrooms/{room}/agents{query}");
        server.get(&path).await?.problem(400)?;
    }
    ensure!(server.agents(&room, "?limit=1000").await?.len() == 5);
    Ok(())
}

async fn counters_count_those_present(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let (math, art, empty) = (stack.classroom("math"), stack.classroom("art"), stack.classroom("empty"));
    let _ann = server.connect("ann", &math).await?;
    let ben = server.connect("ben", &math).await?;
    let _ben_in_art = server.connect("ben", &art).await?;
    let counters = server.count(&[&math, &art, &empty, &math]).await?;
    ensure!(counters == [(math.clone(), 2), (art.clone(), 1)].into(), "{counters:?}");
    ben.close().await?;
    server.expect_present(&math, &["ann"]).await?;
    let counters = server.count(&[&math]).await?;
    ensure!(counters == [(math, 1)].into(), "{counters:?}");
    ensure!(server.count(&[]).await?.is_empty());
    Ok(())
}

async fn attendance_shows_stays_that_last_and_stays_that_ended(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let ann = server.connect("ann", &room).await?;
    let ben = server.connect("ben", &room).await?;
    ben.close().await?;
    server.expect_present(&room, &["ann"]).await?;
    let _ben = server.connect("ben", &room).await?;

    let stays = server.attendance(&room).await?;
    let shown: Vec<_> = stays.iter().map(|stay| (stay.agent_id.as_str(), stay.left_at.is_some())).collect();
    let (ann_id, ben_id) = (agent_id("ann"), agent_id("ben"));
    ensure!(shown == [(&*ann_id, false), (&*ben_id, true), (&*ben_id, false)], "{stays:?}");
    for stay in &stays {
        let (entered, left) = interval(stay)?;
        ensure!(stay.entered_at.ends_with('Z') && left.is_none_or(|left| left > entered), "{stay:?}");
    }

    let path = format!("/api/v1/classrooms/{room}/attendance");
    let first: Attendance = server.get(&format!("{path}?limit=2")).await?.json()?;
    let next = first.next.unwrap_or_default();
    let second: Attendance = server.get(&format!("{path}?limit=2&after={next}")).await?.json()?;
    ensure!(
        [first.stays, second.stays].concat() == stays && second.next.is_none(),
        "pages make up the whole"
    );

    let csv = server.get(&format!("{path}?format=csv&limit=2")).await?;
    ensure!(csv.status == 200 && csv.content_type.starts_with("text/csv"), "{csv:?}");
    let lines: Vec<_> = csv.body.lines().collect();
    ensure!(lines.len() == 3 && lines[0].contains("agent_id") && lines[1].contains(&*ann_id), "{lines:?}");
    let link = csv.headers.get(LINK).and_then(|link| link.to_str().ok()).unwrap_or_default();
    ensure!(link.contains("rel=\"next\"") && link.contains("format=csv"), "{link}");
    for query in ["?limit=0", "?limit=1001", "?format=xml", "?after=x"] {
        server.get(&format!("{path}{query}")).await?.problem(400)?;
    }
    ann.close().await
}

async fn the_api_describes_itself(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let document = Answer::to(server.public(Method::GET, "/api/v1/openapi.json")).await?;
    let document: Value = document.json()?;
    for route in
        ["classrooms/{classroom_id}/agents", "classrooms/{classroom_id}/attendance", "counters/agent"]
    {
        ensure!(document["paths"][format!("/api/v1/{route}")].is_object(), "{route} is not described");
    }
    Ok(())
}

async fn what_does_not_exist_is_a_problem_too(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    for path in ["/api/v1/nothing", "/api/v1/classrooms/math", "/metrics", "/readyz"] {
        server.get(path).await?.problem(404)?;
    }
    let delete = server.public(Method::DELETE, "/api/v1/counters/agent");
    let answer = Answer::to(delete).await?;
    answer.problem(405)?;
    ensure!(answer.headers.contains_key("allow"), "{answer:?}");
    let text = server.public(Method::POST, "/api/v1/counters/agent").bearer_auth(server.token("reader")?);
    Answer::to(text.body("classroom_ids=math")).await?.problem(415)?;
    // The door to sockets says what it is.
    let plain = Answer::to(server.public(Method::GET, "/ws")).await?;
    ensure!(plain.status == 426, "{plain:?}");
    Ok(())
}

async fn health_is_told_to_anybody_and_names_nobody(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let _ann = server.connect("ann", &room).await?;
    server.get(&format!("/api/v1/classrooms/{room}/agents")).await?;
    ensure!(server.health("/healthz").await?.status == 200);
    let ready = server.health("/readyz").await?;
    ensure!(ready.status == 200 && ready.body.contains(r#""ready":true"#), "{ready:?}");
    let metrics = server.metrics_text().await?;
    ensure!(metrics.trim_end().ends_with("# EOF"), "OpenMetrics has an end");
    for name in ["ann", "school.example", &room, "Bearer"] {
        ensure!(!metrics.contains(name), "{name} stands in the metrics");
    }
    server.expect_metric("presence_sessions", 1).await?;
    server.expect_metric(r#"presence_connects_total{outcome="connected"}"#, 1).await
}
