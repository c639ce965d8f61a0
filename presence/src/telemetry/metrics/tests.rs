//! What the table shows from the start, and where things are counted.

use super::*;

#[test]
fn every_close_reason_is_there_from_the_start() {
    let text = Metrics::new(UnixMicros(1_500_000)).text().unwrap();
    for reason in Reason::ALL {
        let line = format!("presence_closes_total{{reason=\"{}\"}} 0\n", reason.row().name);
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(text.contains("presence_start_time_seconds 1.5\n"), "{text}");
    assert!(text.contains("presence_build_info{version=\""), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_happens_is_counted_under_its_label() {
    let metrics = Metrics::new(UnixMicros(0));
    metrics.sessions.inc();
    metrics.connect(Outcome::Refused(Reason::Unauthenticated), Duration::from_millis(3));
    metrics.close(Reason::SlowConsumer);
    metrics.refuse(Refusal::AddressCap);
    metrics.resume(Resumed::Resync);
    metrics.poison(Poison::Body, 2);
    metrics.peer_ask(Some(Answer::LetGo));
    metrics.http("/api/v1/classrooms/{id}/agents", "BREW", 404, Duration::from_secs(1));
    let text = metrics.text().unwrap();
    for line in [
        "presence_sessions 1",
        "presence_connects_total{outcome=\"unauthenticated\"} 1",
        "presence_connect_duration_seconds_bucket{le=\"0.004\"} 1",
        "presence_closes_total{reason=\"slow_consumer\"} 1",
        "presence_refused_total{cause=\"address_cap\"} 1",
        "presence_resumes_total{result=\"resync\"} 1",
        "presence_events_poison_total{kind=\"body\"} 2",
        "presence_peer_asks_total{answer=\"let_go\"} 1",
        "presence_peer_asks_total{answer=\"none\"} 0",
        "presence_http_requests_total{route=\"/api/v1/classrooms/{id}/agents\",method=\"other\",status=\"4xx\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
