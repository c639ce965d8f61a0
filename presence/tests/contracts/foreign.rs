//! A sibling service's own client, the crate `svc-nats-client`, on our stream: what it says reaches us, and what we say
//! reaches it. It always presents a credentials file; a server that asks for none takes it all the same.

use crate::bus_kit::{NatsServer, PATIENCE, connected, credentials, entered, next, options, session_ids};
use futures_util::StreamExt;
use presence::{
    adapters::bus_nats::NatsBus,
    event::{Body, Event},
    ports::bus::{Arrival, Bus, Subscription},
};
use presence_core::ids::ClassroomId;
use std::{str::FromStr, sync::Arc};
use svc_nats_client::{
    AckPolicy, Client, Config, DeliverPolicy, Headers, NatsClient, Subject, event::Builder,
};
use uuid::Uuid;

const ALICE: &str = "web.Z2lkOi8vMTg=.school.example";

/// It speaks of classrooms as UUIDs only.
fn room() -> (Uuid, ClassroomId) {
    let id = Uuid::new_v4();
    (id, id.to_string().parse().unwrap())
}

async fn sibling(server: &NatsServer) -> Client {
    let creds = server.dir.path().join("sibling.creds");
    std::fs::write(&creds, credentials().1).unwrap();
    let config = serde_json::json!({
        "url": server.url(), "creds": creds,
        "subscribe_ephemeral": { "stream": "classroom", "consumer_prefix": "sibling" },
    });
    let config: Config = serde_json::from_value(config).unwrap();
    Client::new(config).await.unwrap()
}

async fn bus_with(server: &NatsServer, event_body: Body) -> NatsBus {
    connected(presence::adapters::bus_nats::Options { event_body, ..options(&server.url()) }).await
}

async fn heard(subscription: &mut Subscription) -> Arc<Event> {
    match next(subscription).await {
        Arrival::Event(event) => event,
        Arrival::Gap { position } => panic!("a gap at {position}"),
    }
}

fn said(id: Uuid, n: i64) -> Builder {
    let event_id = ("note".to_owned(), "added".to_owned(), n).into();
    let subject = Subject::new("classroom".into(), id, "note".into());
    Builder::new(subject, br#"{"text":"hi"}"#.to_vec(), event_id, ALICE.parse().unwrap())
}

#[tokio::test]
async fn what_a_sibling_says_reaches_the_classroom() {
    let server = NatsServer::start().await;
    let bus = bus_with(&server, Body::Envelope).await;
    let sibling = sibling(&server).await;
    let (id, room) = room();
    let mut subscription = bus.subscribe(&room).await.unwrap();

    sibling.publish(&said(id, 1).internal(false).build()).await.unwrap();
    let event = heard(&mut subscription).await;
    assert_eq!(
        (event.topic.as_str(), event.id.operation.as_str(), event.id.sequence_id),
        ("note", "added", 1)
    );
    assert_eq!((event.payload.get(), event.sender.as_deref()), (r#"{"text":"hi"}"#, Some(ALICE)));
    assert!(!event.is_for(ALICE) && event.is_for("web.b.school.example"));

    // It says `internal` unless told otherwise.
    sibling.publish(&said(id, 2).build()).await.unwrap();
    assert!(heard(&mut subscription).await.internal);

    let to_bob = said(id, 3).internal(false).receiver_id("web.bob.school.example".parse().unwrap());
    sibling.publish(&to_bob.build()).await.unwrap();
    let event = heard(&mut subscription).await;
    assert!(event.is_for("web.bob.school.example") && !event.is_for("web.b.school.example"));
}

async fn sibling_hears(body: Body) -> (Vec<u8>, Headers, i64) {
    let server = NatsServer::start().await;
    let bus = bus_with(&server, body).await;
    let sibling = sibling(&server).await;
    let (id, room) = room();
    let session_id = session_ids().next().unwrap();
    let subject = Subject::new("classroom".into(), id, "agent".into());
    let consumer = sibling.subscribe_ephemeral(subject, DeliverPolicy::All, AckPolicy::None).await;
    let mut messages = consumer.unwrap();
    bus.publish(&entered(&room, session_id)).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap().unwrap();
    let subject = Subject::from_str(&message.subject).unwrap();
    assert_eq!((subject.classroom_id(), subject.entity_type()), (id, "agent"));
    let headers = message.headers.clone().unwrap().try_into().unwrap();
    (message.payload.to_vec(), headers, session_id)
}

#[tokio::test]
async fn a_sibling_reads_our_headers_and_a_bare_payload() {
    let (payload, headers, session_id) = sibling_hears(Body::Payload).await;
    let agent = format!("web.agent-{session_id}.school.example");
    let expected =
        serde_json::json!({ "version": "v1", "entity_type": "agent", "label": "entered", "agent_id": agent });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&payload).unwrap(), expected);
    assert_eq!(headers.event_id().to_string(), format!("agent_entered_{session_id}"));
    assert_eq!((headers.sender_id().to_string(), headers.is_internal()), (agent, false));
    assert!(headers.receiver_id().is_none());
}

#[tokio::test]
async fn a_sibling_reads_the_headers_of_an_enveloped_event_too() {
    let (payload, headers, session_id) = sibling_hears(Body::Envelope).await;
    assert_eq!(headers.event_id().sequence_id(), session_id);
    let body: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(body["id"]["sequence_id"], session_id);
}
