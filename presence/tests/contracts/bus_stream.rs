//! The stream as others may have made it before us.

use crate::bus_kit::{NatsServer, bus, classroom, connected, entered, options, positions, session_ids};
use async_nats::jetstream::stream::{self, RetentionPolicy};
use presence::ports::{Fault, bus::Bus};
use std::{error::Error, time::Duration};

async fn with_stream(config: stream::Config) -> NatsServer {
    let server = NatsServer::start().await;
    let config = stream::Config { name: "classroom".into(), ..config };
    server.client().await.create_stream(config).await.unwrap();
    server
}

#[tokio::test]
async fn a_siblings_stream_is_amended_and_keeps_its_limits() {
    let server = with_stream(stream::Config {
        subjects: vec!["classroom.*.chat".into(), "conference.>".into()],
        max_age: Duration::from_mins(5),
        max_bytes: 1 << 20,
        description: Some("a sibling's".into()),
        ..Default::default()
    })
    .await;
    let context = server.client().await;
    let before = context.publish("conference.x", "{}".into()).await.unwrap().await.unwrap();
    let bus = server.bus().await;
    let room = classroom();
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let position = bus.publish(&entered(&room, session_ids().next().unwrap())).await.unwrap();
    assert!(position > before.sequence);
    assert_eq!(positions(&mut subscription, 1).await, [position]);

    let config = context.get_stream("classroom").await.unwrap().cached_info().config.clone();
    assert_eq!(config.subjects, ["conference.>", "classroom.*.*"]);
    assert_eq!((config.max_age, config.max_bytes), (Duration::from_mins(5), 1 << 20));
    assert_eq!(config.description.as_deref(), Some("a sibling's"));
    assert!(config.allow_direct && config.republish.is_some());
}

#[tokio::test]
async fn a_stream_that_cannot_serve_is_named_with_its_setting() {
    let server = with_stream(stream::Config {
        subjects: vec!["classroom.>".into()],
        retention: RetentionPolicy::WorkQueue,
        ..Default::default()
    })
    .await;
    let bus = bus(options(&server.url())).await;
    let room = classroom();
    let refused = loop {
        match bus.publish(&entered(&room, 1)).await.unwrap_err() {
            Fault::Unavailable { .. } => tokio::time::sleep(Duration::from_millis(20)).await,
            Fault::Failed { source, .. } => break source.to_string(),
        }
    };
    assert!(
        refused.contains("stream classroom") && refused.contains("retention must be limits"),
        "{refused}"
    );
    // Nobody has to wait for a bus that cannot be used.
    assert_eq!(bus.subscribe(&room).await.unwrap().position, 0);
}

#[tokio::test]
async fn what_the_server_refuses_is_said_with_its_reason() {
    let server = NatsServer::start().await;
    let config =
        stream::Config { name: "other".into(), subjects: vec!["classroom.>".into()], ..Default::default() };
    server.client().await.create_stream(config).await.unwrap();
    let bus = bus(options(&server.url())).await;
    let fault = loop {
        match bus.publish(&entered(&classroom(), 1)).await.unwrap_err() {
            Fault::Unavailable { .. } => tokio::time::sleep(Duration::from_millis(20)).await,
            fault @ Fault::Failed { .. } => break fault,
        }
    };
    let source = fault.source().unwrap().to_string();
    assert!(source.contains("stream classroom") && source.contains("overlap"), "{source}");
}

#[tokio::test]
async fn replicas_that_start_together_make_one_stream() {
    let server = NatsServer::start().await;
    let url = server.url();
    let buses = futures_util::future::join_all((0..8).map(|_| connected(options(&url)))).await;
    let room = classroom();
    let mut subscription = buses[0].subscribe(&room).await.unwrap();
    let mut said = vec![];
    for (bus, id) in buses.iter().zip(session_ids()) {
        said.push(bus.publish(&entered(&room, id)).await.unwrap());
    }
    assert_eq!(positions(&mut subscription, 8).await, said);
}
