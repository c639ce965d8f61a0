//! Reads: rosters, pages, counts, attendance; each sees what was acknowledged before it.

use super::stage::{A, B, Stage, classroom, key, on_every_store};
use futures_util::future::join_all;
use presence_core::{
    ids::{AgentId, SessionId},
    page::{Limit, SNAPSHOT_LIMIT},
};

on_every_store![
    a_roster_lists_the_first_agents_and_counts_all,
    agents_are_paged_by_session,
    counts_leave_out_empty_classrooms,
    attendance_pages_over_live_and_ended_stays,
    nothing_is_found_in_an_empty_store,
    every_read_sees_what_was_acknowledged_before_it,
];

async fn fill(stage: &Stage, room: &str, agents: usize) -> Vec<(SessionId, AgentId)> {
    let keys: Vec<_> = (0..agents).map(|n| key(&format!("agent-{n}"), room)).collect();
    let claims = join_all(keys.iter().map(|key| stage.claim(key, A))).await;
    let sessions = claims.iter().map(|claimed| claimed.held.session_id);
    let mut agents: Vec<_> = sessions.zip(keys.into_iter().map(|key| key.agent_id)).collect();
    agents.sort();
    agents
}

async fn a_roster_lists_the_first_agents_and_counts_all(stage: &Stage) {
    let agents = fill(stage, "math", SNAPSHOT_LIMIT as usize + 20).await;
    fill(stage, "art", 2).await;
    let (math, art, none) = (classroom("math"), classroom("art"), classroom("none"));
    let (math, art, none) =
        tokio::join!(stage.store.roster(&math), stage.store.roster(&art), stage.store.roster(&none));
    let (math, art, none) = (math.unwrap(), art.unwrap(), none.unwrap());
    assert_eq!(math.total, agents.len() as u64);
    let first: Vec<_> = math.first.into_iter().map(|agent| (agent.session_id, agent.agent_id)).collect();
    assert_eq!(first, agents[..SNAPSHOT_LIMIT as usize]);
    assert_eq!((art.first.len(), art.total), (2, 2));
    assert_eq!((none.first.len(), none.total), (0, 0));
}

async fn agents_are_paged_by_session(stage: &Stage) {
    let agents = fill(stage, "math", 25).await;
    let mut paged = Vec::new();
    let mut after = SessionId(0);
    loop {
        let page = stage.store.agents(&classroom("math"), after, Limit::new(10).unwrap()).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 10);
        after = last.session_id;
        paged.extend(page.into_iter().map(|agent| (agent.session_id, agent.agent_id)));
    }
    assert_eq!(paged, agents);
}

async fn counts_leave_out_empty_classrooms(stage: &Stage) {
    fill(stage, "math", 3).await;
    fill(stage, "art", 1).await;
    let asked = ["math", "none", "art", "math"].map(classroom);
    let mut counts = stage.store.counts(&asked).await.unwrap();
    counts.sort();
    assert_eq!(counts, [(classroom("art"), 1), (classroom("math"), 3)]);
    assert!(stage.store.counts(&[]).await.unwrap().is_empty());
}

async fn attendance_pages_over_live_and_ended_stays(stage: &Stage) {
    let agents = fill(stage, "math", 30).await;
    for n in (0..30).step_by(3) {
        let replaced = stage.claim(&key(&format!("agent-{n}"), "math"), B).await.held;
        if n % 2 == 0 {
            assert!(stage.release(replaced).await);
        }
    }
    let mut stays = Vec::new();
    loop {
        let after = stays.last().copied().unwrap_or(SessionId(0));
        let limit = Limit::new(7).unwrap();
        let page = stage.store.attendance(&classroom("math"), after, limit).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7);
        stays.extend(page.iter().map(|stay| stay.session_id));
    }
    assert!(stays.is_sorted_by(|one, next| one < next), "{stays:?}");
    assert_eq!(stays.len(), agents.len() + 10);
    let ended = stage.stays(&classroom("math")).await;
    let ended = ended.iter().filter(|stay| stay.left_at.is_some()).count();
    assert_eq!(ended, 10 + 5);
}

async fn nothing_is_found_in_an_empty_store(stage: &Stage) {
    let key = key("ann", "math");
    assert_eq!(stage.store.find(&key).await.unwrap(), None);
    assert!(stage.stays(&key.classroom_id).await.is_empty());
    assert!(stage.events().await.is_empty());
    assert_eq!(stage.store.trim().await.unwrap(), 0);
}

async fn every_read_sees_what_was_acknowledged_before_it(stage: &Stage) {
    let room = classroom("math");
    let other = stage.another_store().await;
    let joins = (0..200_u64).map(|n| {
        let store = if n % 2 == 0 { &stage.store } else { &other };
        let room = &room;
        async move {
            let claimed = stage.claim(&key(&format!("agent-{n}"), "math"), A).await;
            let roster = store.roster(room).await.unwrap();
            let sees = roster.first.iter().any(|agent| agent.session_id == claimed.held.session_id);
            assert!(sees, "{:?} is not in its own roster of {}", claimed.held, roster.total);
        }
    });
    join_all(joins).await;
}
