//! The lesson state in Redis: one script a step, on the keys of section 5 of `docs/PROTOCOL.md`.
//!
//! One Redis from 6.0 on, or a primary that is found by its name; never a cluster, since the keys of a step lie on different
//! nodes there. Scripts are sent by their hash, and whole to a Redis that does not know them.

mod error;
mod link;
mod options;
mod steps;

pub use error::Error;
pub use options::Options;

use super::lesson_keys::Keys;
use crate::ports::{
    Fault,
    clock::Clock,
    lesson_state::{AppSocket, Ended, Entered, Entry, Known, LessonState, Recovery},
};
use async_trait::async_trait;
use error::WHAT;
use futures_util::{FutureExt, future::BoxFuture};
use link::Link;
use presence_core::ids::{ClassroomId, OrgId, RecoveryId, ReplicaId, UserId};
use redis::Cmd;
use std::sync::Arc;
use steps::{Scripts, Step};

/// Sockets in one answer of Redis, about: more of them would hold up whatever waits behind.
const PAGE: usize = 512;

#[derive(Debug)]
pub struct RedisLessonState {
    link: Arc<Link>,
    scripts: Scripts,
    keys: Keys,
}

impl RedisLessonState {
    /// Redis may be away. The future keeps the connection for as long as it is polled.
    pub fn open(
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, BoxFuture<'static, ()>), Error> {
        let keys = Keys::new(options.key_prefix.clone());
        let link = Arc::new(Link::new(options.client()?, keys.probe(), clock));
        let kept = link.clone();
        let state = Self { link, scripts: Scripts::new(), keys };
        Ok((Arc::new(state), async move { kept.keep().await }.boxed()))
    }

    async fn page(&self, sockets: &str, cursor: u64, into: &mut Vec<Entered>) -> Result<u64, Fault> {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(sockets).arg(cursor).arg("COUNT").arg(PAGE);
        let (next, found): (u64, Vec<(String, String)>) = self.link.query(&scan).await?;
        into.extend(found.iter().filter_map(|(sid, entry)| steps::read_entry(sid, entry)));
        Ok(next)
    }

    async fn run<T: redis::FromRedisValue>(&self, step: Step<'_>) -> Result<T, Fault> {
        self.link.run(step).await
    }
}

#[async_trait]
impl LessonState for RedisLessonState {
    async fn connect(&self, replica: ReplicaId, socket: &AppSocket, login_time: i64) -> Result<Known, Fault> {
        let known = self.run(self.scripts.connect(&self.keys, replica, socket, login_time)).await?;
        Ok(steps::known(known))
    }

    async fn join(&self, replica: ReplicaId, socket: &AppSocket, entry: &Entry) -> Result<Known, Fault> {
        let Some(step) = self.scripts.join(&self.keys, replica, socket, entry) else {
            return Err(Fault::failed(WHAT, format!("a {} joins no lesson", socket.kind)));
        };
        Ok(steps::known(self.run(step).await?))
    }

    async fn end(
        &self,
        replica: ReplicaId,
        socket: &AppSocket,
        left: Option<&RecoveryId>,
    ) -> Result<Option<Ended>, Fault> {
        let ended: Option<(String, bool)> =
            self.run(self.scripts.end(&self.keys, replica, socket, left)).await?;
        Ok(ended.map(|(lesson, was_latest)| Ended { lesson: lesson.parse().ok(), was_latest }))
    }

    async fn log_out(&self, org: &OrgId, user: &UserId) -> Result<(), Fault> {
        self.link.query(&Cmd::del(self.keys.alive(org, user))).await
    }

    async fn restore(
        &self,
        replica: ReplicaId,
        entered: &Entered,
        login_time: i64,
        seats: u16,
    ) -> Result<bool, Fault> {
        self.run(self.scripts.restore(&self.keys, replica, entered, (login_time, seats))).await
    }

    async fn recovery(&self, pid: &RecoveryId) -> Result<Option<Recovery>, Fault> {
        let text: Option<String> = self.link.query(&Cmd::get(self.keys.recovery(pid))).await?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| Fault::failed(WHAT, error))
    }

    async fn room(&self, lesson: &ClassroomId) -> Result<Option<String>, Fault> {
        self.link.query(&Cmd::get(self.keys.room(lesson))).await
    }

    async fn set_room(&self, lesson: &ClassroomId, room: &str) -> Result<(), Fault> {
        self.link.query(&Cmd::set(self.keys.room(lesson), room)).await
    }

    async fn entered(&self, replica: ReplicaId) -> Result<Vec<Entered>, Fault> {
        let sockets = self.keys.sockets(replica);
        let (mut cursor, mut found) = (0, vec![]);
        loop {
            cursor = self.page(&sockets, cursor, &mut found).await?;
            if cursor == 0 {
                break;
            }
        }
        // A hash that grows while it is read may show an entry twice.
        found.sort_by(|one, other| one.socket.sid.cmp(&other.socket.sid));
        found.dedup_by(|one, other| one.socket.sid == other.socket.sid);
        Ok(found)
    }

    async fn replicas(&self) -> Result<Vec<ReplicaId>, Fault> {
        let words: Vec<String> = self.link.query(&Cmd::smembers(self.keys.replicas())).await?;
        Ok(words.iter().filter_map(|word| steps::read_replica(word)).collect())
    }

    fn is_up(&self) -> bool {
        self.link.is_up()
    }
}
