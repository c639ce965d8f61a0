//! After a network change everybody comes back at once: what that costs NATS, and that nobody is sent away for it.

use crate::bus_kit::{NatsServer, classroom, entered, publish_surely, session_ids};
use futures_util::future::join_all;
use presence::{
    adapters::bus_nats::NatsBus,
    ports::bus::{Backlog, Bus},
};
use presence_core::ids::ClassroomId;

/// Requests to the stream's leader so far.
async fn requests(server: &NatsServer) -> u64 {
    let account = server.client().await.query_account().await.unwrap();
    account.requests.total
}

/// What each of these would have heard, or `None`.
async fn resume(bus: &NatsBus, wanted: &[(&ClassroomId, u64, u64)]) -> Vec<Option<Vec<u64>>> {
    let reading =
        wanted.iter().map(async |(room, after, up_to)| match bus.read(room, *after, *up_to).await.unwrap() {
            Backlog::Complete(events) => Some(events.iter().map(|event| event.seq).collect()),
            Backlog::Unprovable => None,
        });
    join_all(reading).await
}

#[tokio::test]
async fn five_thousand_agents_of_five_hundred_classrooms_come_back_at_once() {
    const ROOMS: usize = 500;
    const AGENTS: usize = 10;
    let server = NatsServer::start().await;
    let bus = server.bus().await;
    let rooms: Vec<_> = (0..ROOMS).map(|_| classroom()).collect();
    let mut said = vec![];
    for (room, id) in rooms.iter().zip(session_ids()) {
        said.push(publish_surely(&bus, &entered(room, id)).await);
    }
    let end = *said.last().unwrap();
    // Every other one heard all of it, and the others missed the last.
    let missed_it = |agent: usize| agent.is_multiple_of(2);
    let wanted: Vec<_> = (0..ROOMS * AGENTS)
        .map(|n| {
            let (room, agent) = (n % ROOMS, n / ROOMS);
            let heard = if missed_it(agent) { said[room] - 1 } else { said[room] };
            (&rooms[room], heard, end)
        })
        .collect();
    let before = requests(&server).await;
    let heard = resume(&bus, &wanted).await;
    let asked = requests(&server).await - before;
    for (n, heard) in heard.iter().enumerate() {
        let (room, agent) = (n % ROOMS, n / ROOMS);
        let expected = if missed_it(agent) { vec![said[room]] } else { vec![] };
        assert_eq!(heard.as_ref(), Some(&expected), "agent {agent} of classroom {room}");
    }
    // A classroom is read once, which is two requests here and one for its end; that one is mostly shared.
    let bound = 3 * ROOMS as u64;
    assert!(asked <= bound, "{asked} requests for {} resumes; at most {bound} were expected", wanted.len());
}

#[tokio::test]
async fn a_class_of_two_thousand_reads_what_it_missed_a_few_times() {
    const AGENTS: usize = 2_000;
    const EVENTS: usize = 40;
    let server = NatsServer::start().await;
    let bus = server.bus().await;
    let room = classroom();
    let mut said = vec![];
    for id in session_ids().take(EVENTS) {
        said.push(publish_surely(&bus, &entered(&room, id)).await);
    }
    // Each left off somewhere else, in no order; one never heard of this stream, and one pretends to be ahead of it.
    let left_off = |n: usize| (n * 17) % EVENTS;
    let mut wanted: Vec<_> = (0..AGENTS).map(|n| (&room, said[left_off(n)], said[EVENTS - 1])).collect();
    wanted.insert(0, (&room, 0, said[EVENTS - 1]));
    wanted.insert(1, (&room, u64::MAX, u64::MAX));
    let before = requests(&server).await;
    let mut heard = resume(&bus, &wanted).await;
    let asked = requests(&server).await - before;
    assert_eq!(heard.drain(..2).collect::<Vec<_>>(), [None, None]);
    for (n, heard) in heard.iter().enumerate() {
        assert_eq!(heard.as_deref(), Some(&said[left_off(n) + 1..]), "agent {n}");
    }
    // As many as there are who left off before all who came before them.
    assert!(asked <= EVENTS as u64, "{asked} requests for {AGENTS} resumes");
}
