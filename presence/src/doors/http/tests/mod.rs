//! The public API at its edge: what is asked of the flows, and how answers and problems look. The ports are fakes.

pub(in crate::doors) mod world;

use super::*;
use crate::{
    config::{Config, Environment},
    telemetry::Metrics,
};
use axum::{body::Body, http::request::Builder};
use http_body_util::BodyExt as _;
use presence_core::time::UnixMicros;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use world::World;

fn deps(settings: &[(&str, &str)]) -> Arc<Deps> {
    let environment: Environment = settings.iter().map(|(name, value)| (*name, *value)).collect();
    Arc::new(Deps {
        store: Arc::new(World),
        bus: Arc::new(World),
        peers: Arc::new(World),
        authn: Arc::new(World),
        authz: Arc::new(World),
        clock: Arc::new(World),
        metrics: Arc::new(Metrics::new(UnixMicros(0))),
        config: Arc::new(Config::load(None, &environment).unwrap()),
    })
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(deps: &Arc<Deps>, request: Builder, body: impl Into<Body>) -> Answer {
    let response = router(Arc::clone(deps)).oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn get(path: &str) -> Builder {
    Request::get(path).header("authorization", "Bearer good")
}

async fn got(path: &str) -> Answer {
    ask(&deps(&[]), get(path), "").await
}

fn assert_problem(answer: &Answer, status: u16, name: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["type"], format!("urn:presence:problem:{name}"), "{answer:?}");
    assert_eq!(answer.json()["status"], status);
    assert!(!answer.body.contains("hunter2"), "{answer:?}");
}

#[tokio::test]
async fn agents_are_listed_a_page_at_a_time() {
    let all = got("/api/v1/classrooms/math/agents").await;
    assert_eq!(all.json().as_array().unwrap().len(), 3);
    assert_eq!(all.header("cache-control"), "no-store");
    let one = got("/api/v1/classrooms/math/agents?sequence_id=1&limit=1").await;
    assert_eq!(one.json(), json!([{"id": 2, "agent_id": "-2.Z2lkOi8vMTg=.school.example"}]));
    assert_eq!(got("/api/v1/classrooms/empty/agents").await.json(), json!([]));
}

#[tokio::test]
async fn what_does_not_parse_is_named() {
    for (path, detail) in [
        ("/api/v1/classrooms/a.b/agents", "classroom_id must be 1 to 64 characters of A-Z a-z 0-9 _ -"),
        ("/api/v1/classrooms/%2A/attendance", "classroom_id must be 1 to 64 characters of A-Z a-z 0-9 _ -"),
        ("/api/v1/classrooms/%FF/agents", "classroom_id is not UTF-8"),
        ("/api/v1/classrooms/math/agents?limit=0", "limit must be a whole number from 1 to 1000"),
        ("/api/v1/classrooms/math/attendance?limit=1001", "limit must be a whole number from 1 to 1000"),
    ] {
        let answer = got(path).await;
        assert_problem(&answer, 400, "invalid_request");
        assert_eq!(answer.json()["detail"], detail, "{path}");
    }
    for (path, field) in [
        ("/api/v1/classrooms/math/agents?limit=-1", "limit"),
        ("/api/v1/classrooms/math/agents?sequence_id=x", "sequence_id"),
        ("/api/v1/classrooms/math/attendance?format=xml", "format"),
    ] {
        let answer = got(path).await;
        assert_problem(&answer, 400, "invalid_request");
        assert!(answer.json()["detail"].as_str().unwrap().contains(field), "{answer:?}");
    }
}

#[tokio::test]
async fn without_a_trusted_token_nobody_reads() {
    let path = "/api/v1/classrooms/math/agents";
    for header in ["", "Basic good", "Bearer", "Bearer ", "good"] {
        let answer = ask(&deps(&[]), Request::get(path).header("authorization", header), "").await;
        assert_problem(&answer, 401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"presence\"");
    }
    let two = get(path).header("authorization", "Bearer good");
    assert_problem(&ask(&deps(&[]), two, "").await, 401, "unauthenticated");
    let answer = ask(&deps(&[]), Request::get(path).header("authorization", "bearer hunter2"), "").await;
    assert_problem(&answer, 401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"presence\", error=\"invalid_token\"");
    let answer = ask(&deps(&[]), Request::get(path).header("authorization", "Bearer later"), "").await;
    assert_problem(&answer, 503, "unavailable");
}

fn count(token: &str, content_type: &str) -> Builder {
    Request::post("/api/v1/counters/agent")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", content_type)
}

#[tokio::test]
async fn agents_are_counted_per_classroom_and_the_empty_left_out() {
    let request = count("good", "application/json");
    let answer = ask(&deps(&[]), request, r#"{"classroom_ids":["math","empty","math"]}"#).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"math": 3})));
    let none = ask(&deps(&[]), count("good", "application/json"), r#"{"classroom_ids":[]}"#).await;
    assert_eq!(none.json(), json!({}));
    let denied = ask(&deps(&[]), count("student", "application/json"), r#"{"classroom_ids":["math"]}"#).await;
    assert_problem(&denied, 403, "access_denied");
}

#[tokio::test]
async fn a_body_is_json_and_bounded() {
    let ask =
        async |content_type: &str, body: String| ask(&deps(&[]), count("good", content_type), body).await;
    assert_problem(&ask("text/plain", "{}".into()).await, 415, "unsupported_media_type");
    assert_problem(&ask("application/json", "{".into()).await, 400, "invalid_request");
    assert_problem(&ask("application/json", "{}".into()).await, 400, "invalid_request");
    let long = format!(r#"{{"classroom_ids":["{}"]}}"#, "x".repeat(70_000));
    assert_problem(&ask("application/json", long).await, 413, "payload_too_large");
    let ids = |count: usize| {
        json!({"classroom_ids": (0..count).map(|n| n.to_string()).collect::<Vec<_>>()}).to_string()
    };
    assert_eq!(ask("application/json", ids(1000)).await.status, 200);
    assert_problem(&ask("application/json", ids(1001)).await, 400, "invalid_request");
    let named = ask("application/json", r#"{"classroom_ids":["math","a b"]}"#.into()).await;
    assert!(named.json()["detail"].as_str().unwrap().starts_with("classroom_ids[1] must be"), "{named:?}");
}

#[tokio::test]
async fn attendance_is_paged_and_timed_in_utc() {
    let first = got("/api/v1/classrooms/math/attendance?limit=2").await;
    let document = first.json();
    assert_eq!(document["next"], 2);
    assert_eq!(
        document["stays"][0],
        json!({
            "session_id": 1,
            "agent_id": "web.Z2lkOi8vMTg=.school.example",
            "entered_at": "2023-11-14T22:13:20.000001Z",
            "left_at": "2023-11-14T22:14:20Z",
        })
    );
    assert_eq!(document["stays"][1]["left_at"], Value::Null);
    assert_eq!(
        first.header("link"),
        "</api/v1/classrooms/math/attendance?after=2&limit=2&format=json>; rel=\"next\""
    );
    // A page that is full and the last one leads nowhere.
    let last = got("/api/v1/classrooms/math/attendance?limit=2&after=1").await;
    assert_eq!((last.json()["stays"].as_array().unwrap().len(), last.header("link")), (2, ""));
    assert_eq!(last.json().get("next"), None);
}

#[tokio::test]
async fn attendance_is_a_table_that_runs_nothing() {
    let expected = concat!(
        "\"session_id\",\"agent_id\",\"entered_at\",\"left_at\"\n",
        "1,\"web.Z2lkOi8vMTg=.school.example\",\"2023-11-14T22:13:20.000001Z\",\"2023-11-14T22:14:20Z\"\n",
        "2,\"'-2.Z2lkOi8vMTg=.school.example\",\"2023-11-14T22:13:20.000002Z\",\"\"\n",
    );
    let asked = [
        get("/api/v1/classrooms/math/attendance?limit=2&format=csv"),
        get("/api/v1/classrooms/math/attendance?limit=2").header("accept", "text/csv;q=0.9, */*"),
    ];
    for request in asked {
        let answer = ask(&deps(&[]), request, "").await;
        assert_eq!(answer.body, expected);
        assert!(answer.header("content-type").starts_with("text/csv"));
        assert!(answer.header("link").contains("after=2&limit=2&format=csv"), "{answer:?}");
    }
}

#[tokio::test]
async fn faults_are_problems_that_tell_nothing_of_the_inside() {
    let away = got("/api/v1/classrooms/away/agents").await;
    assert_problem(&away, 503, "unavailable");
    assert_eq!(away.header("retry-after"), "2");
    assert_problem(&got("/api/v1/classrooms/broken/attendance").await, 500, "internal_server_error");
    assert_problem(&got("/api/v1/classrooms/panic/agents").await, 500, "internal_server_error");
    assert_problem(&got("/nowhere").await, 404, "not_found");
    let deleted = ask(&deps(&[]), Request::delete("/api/v1/counters/agent"), "").await;
    assert_problem(&deleted, 405, "method_not_allowed");
    assert_eq!(deleted.header("allow"), "POST");
}

#[tokio::test]
async fn a_page_of_another_origin_reads_only_where_it_is_listed() {
    let listed = deps(&[("PRESENCE_PUBLIC__ORIGINS", "https://app.example")]);
    let path = "/api/v1/classrooms/math/agents";
    let allowed = async |deps: &Arc<Deps>, origin: &str| {
        let answer = ask(deps, get(path).header("origin", origin), "").await;
        answer.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(allowed(&listed, "https://app.example").await, "https://app.example");
    assert_eq!(allowed(&listed, "https://evil.example").await, "");
    assert_eq!(allowed(&deps(&[]), "https://any.example").await, "*");
    let exposed = deps(&[("PRESENCE_PUBLIC__ADDR", "0.0.0.0:8080")]);
    assert_eq!(allowed(&exposed, "https://any.example").await, "");
    let preflight = Request::options(path)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    let answer = ask(&listed, preflight, "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-methods")), (200, "GET,POST"));
}

#[tokio::test]
async fn the_live_page_is_there_while_the_embedded_key_signs() {
    let page = ask(&deps(&[]), Request::get("/"), "").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'sha256-"));
    let off = deps(&[("PRESENCE_PUBLIC__LIVE_PAGE", "false")]);
    assert_problem(&ask(&off, Request::get("/"), "").await, 404, "not_found");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let deps = deps(&[]);
    ask(&deps, get("/api/v1/classrooms/math/agents"), "").await;
    ask(&deps, get("/secret-path"), "").await;
    let text = deps.metrics.text().unwrap();
    let route = "/api/v1/classrooms/{classroom_id}/agents";
    assert!(
        text.contains(&format!("http_requests_total{{route=\"{route}\",method=\"GET\",status=\"2xx\"}} 1")),
        "{text}"
    );
    assert!(text.contains("http_requests_total{route=\"none\",method=\"GET\",status=\"4xx\"} 1"), "{text}");
    assert!(!text.contains("math") && !text.contains("secret-path"));
}

#[tokio::test]
async fn every_route_is_in_the_document() {
    let answer = ask(&deps(&[]), Request::get("/api/v1/openapi.json"), "").await;
    let document = answer.json();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        paths,
        [
            "/api/v1/classrooms/{classroom_id}/agents",
            "/api/v1/classrooms/{classroom_id}/attendance",
            "/api/v1/counters/agent"
        ]
    );
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}
