//! Fakes of the ports, just enough for a door: answers that depend on the classroom and on the token.

use crate::ports::{
    Fault,
    authn::{self, Authn, Identity},
    authz::{self, Action, Authz, Object},
    bus::{Backlog, Bus, Outgoing, Subscription},
    clock::Clock,
    peers::{Answer, Ask, Asked, Peers},
    session_store::{
        Audit, Claim, Claimed, Due, Finding, Outbox, Pending, Present, Release, Replica, Replicas, Roster,
        SessionStore, Stay, Whereabouts,
    },
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use presence_core::{
    ids::{ClassroomId, Fence, ReplicaId, SessionId, SessionKey},
    page::Limit,
    replace::Holder,
    session::Held,
    time::{Time, UnixMicros},
};
use std::time::Duration;

/// Knows the classroom `math`, in which sessions 1 to 3 are or were. `away` cannot be reached, `panic` panics.
#[derive(Debug)]
pub(in crate::doors) struct World;

fn stay(id: i64, left: Option<i64>) -> Stay {
    let label = if id == 2 { "-2" } else { "web" };
    Stay {
        session_id: SessionId(id),
        agent_id: format!("{label}.Z2lkOi8vMTg=.school.example").parse().unwrap(),
        entered_at: UnixMicros(1_700_000_000_000_000 + id),
        left_at: left.map(UnixMicros),
    }
}

fn stays(classroom: &ClassroomId, after: SessionId, limit: Limit) -> Result<Vec<Stay>, Fault> {
    match classroom.as_str() {
        "away" => Err(Fault::unavailable("the store", "connection refused by hunter2")),
        "broken" => Err(Fault::failed("the store", "a column of hunter2 is gone")),
        "panic" => panic!("a bug"),
        "math" => {
            let all = [stay(1, Some(1_700_000_060_000_000)), stay(2, None), stay(3, None)];
            let page = all.into_iter().filter(|stay| stay.session_id > after);
            Ok(page.take(limit.get() as usize).collect())
        }
        _ => Ok(Vec::new()),
    }
}

#[async_trait]
impl SessionStore for World {
    async fn claim(&self, _: Claim) -> Result<Claimed, Fault> {
        unreachable!("a read claims nothing")
    }

    async fn release(&self, _: Release) -> Result<bool, Fault> {
        unreachable!("a read releases nothing")
    }

    async fn shed(&self, _: &[Held]) -> Result<(), Fault> {
        Ok(())
    }

    async fn find(&self, _: &SessionKey) -> Result<Option<Holder>, Fault> {
        Ok(None)
    }

    async fn roster(&self, _: &ClassroomId) -> Result<Roster, Fault> {
        Ok(Roster::default())
    }

    async fn agents(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Present>, Fault> {
        let present = stays(classroom, after, limit)?
            .into_iter()
            .map(|stay| Present { session_id: stay.session_id, agent_id: stay.agent_id });
        Ok(present.collect())
    }

    async fn counts(&self, classrooms: &[ClassroomId]) -> Result<Vec<(ClassroomId, u64)>, Fault> {
        Ok(classrooms.iter().filter(|id| id.as_str() == "math").map(|id| (id.clone(), 3)).collect())
    }

    async fn attendance(
        &self,
        classroom: &ClassroomId,
        after: SessionId,
        limit: Limit,
    ) -> Result<Vec<Stay>, Fault> {
        stays(classroom, after, limit)
    }
}

#[async_trait]
impl Outbox for World {
    async fn due(&self, _: Due, _: u32) -> Result<Vec<Pending>, Fault> {
        Ok(Vec::new())
    }

    async fn published(&self, _: &[i64]) -> Result<(), Fault> {
        Ok(())
    }

    async fn trim(&self) -> Result<u64, Fault> {
        Ok(0)
    }

    async fn backlog(&self) -> Result<(u64, Duration), Fault> {
        Ok((0, Duration::ZERO))
    }
}

#[async_trait]
impl Replicas for World {
    async fn register(&self, _: &Replica, _: Duration) -> Result<Fence, Fault> {
        Ok(Fence(1))
    }

    async fn renew(&self, _: ReplicaId, _: Duration) -> Result<bool, Fault> {
        Ok(true)
    }

    async fn set_draining(&self, _: ReplicaId, _: bool) -> Result<(), Fault> {
        Ok(())
    }

    async fn whereabouts(&self, _: ReplicaId) -> Result<Option<Whereabouts>, Fault> {
        Ok(None)
    }

    async fn gone(&self, _: ReplicaId, _: &[ReplicaId], _: Duration) -> Result<Vec<ReplicaId>, Fault> {
        Ok(vec![])
    }

    async fn draining(&self) -> Result<u32, Fault> {
        Ok(0)
    }

    async fn held(&self, _: ReplicaId) -> Result<Vec<Held>, Fault> {
        Ok(vec![])
    }

    async fn retire(&self, _: ReplicaId) -> Result<(), Fault> {
        Ok(())
    }

    async fn sweep(&self, _: ReplicaId, _: Duration) -> Result<u64, Fault> {
        Ok(0)
    }
}

#[async_trait]
impl Audit for World {
    async fn audit(&self, _: Duration, _: u32) -> Result<Vec<Finding>, Fault> {
        Ok(vec![])
    }
}

#[async_trait]
impl Peers for World {
    async fn ask(&self, _: ReplicaId, _: &Ask) -> Result<Answer, Fault> {
        unreachable!("a read asks nobody")
    }

    async fn asked(&self, _: ReplicaId) -> Result<BoxStream<'static, Asked>, Fault> {
        unreachable!("a read answers nobody")
    }
}

#[async_trait]
impl Bus for World {
    async fn publish(&self, _: &Outgoing) -> Result<u64, Fault> {
        unreachable!("a read publishes nothing")
    }

    async fn subscribe(&self, _: &ClassroomId) -> Result<Subscription, Fault> {
        unreachable!("a read subscribes to nothing")
    }

    async fn read(&self, _: &ClassroomId, _: u64, _: u64) -> Result<Backlog, Fault> {
        Ok(Backlog::Unprovable)
    }

    fn is_up(&self) -> bool {
        true
    }
}

/// Tokens: `good`, `student` (may not count), `later` (the keys are away).
#[async_trait]
impl Authn for World {
    async fn authenticate(&self, token: &str) -> Result<Identity, authn::Error> {
        match token {
            "good" | "student" => Ok(Identity {
                account: token.parse().unwrap(),
                audience: "school.example".parse().unwrap(),
                expires: UnixMicros(i64::MAX),
                classrooms: None,
                org_id: None,
                role: None,
            }),
            "later" => Err(authn::Error::Unavailable),
            _ => Err(authn::Error::Rejected("unknown key")),
        }
    }
}

#[async_trait]
impl Authz for World {
    async fn authorize(&self, who: &Identity, action: Action, object: &Object) -> Result<(), authz::Error> {
        assert_eq!(action, Action::Read);
        if who.account.as_str() == "student" && *object == Object::AllClassrooms {
            return Err(authz::Error::Denied);
        }
        Ok(())
    }
}

impl Clock for World {
    fn now(&self) -> Time {
        Time(0)
    }

    fn wall(&self) -> UnixMicros {
        UnixMicros(0)
    }

    fn chance(&self) -> u64 {
        4
    }
}
