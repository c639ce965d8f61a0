//! What the classroom's apps and backends read of who is connected and in which lesson: the keys of section 5 of
//! `docs/PROTOCOL.md`, in Redis. A cache beside the store's truth; it may be lost, and is then written again.

use super::Fault;
use async_trait::async_trait;
use presence_core::{
    app::Kind,
    ids::{ClassroomId, OrgId, RecoveryId, ReplicaId, SocketId, UserId},
};
use serde::{Deserialize, Serialize};
use std::{fmt::Debug, time::Duration};

/// How long the keys of a lesson last, and what a lost connection can be taken up by.
pub const LESSON_TTL: Duration = Duration::from_hours(24);
/// How long it is known that a teacher was there.
pub const ALIVE_TTL: Duration = Duration::from_hours(1);
/// How long it is known of a socket that it has ended: for longer than anybody sleeps who might end it again.
pub const ENDED_TTL: Duration = Duration::from_hours(1);
/// How long the sockets of a user are known after the latest of them came. They are forgotten as they end; this is for
/// those that never do.
pub const SOCKETS_TTL: Duration = Duration::from_hours(7 * 24);

/// A classroom app's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSocket {
    pub sid: SocketId,
    pub user_id: UserId,
    pub org_id: OrgId,
    pub kind: Kind,
    /// The `role` that is stored: the query's.
    pub role: String,
}

/// What is known of a user from before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether there was anything.
    pub before: bool,
    /// The lesson that the user was in last.
    pub lesson: Option<ClassroomId>,
}

/// A socket enters a lesson.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub lesson: ClassroomId,
    /// How many seats the lesson gets, where it has none yet.
    pub seats: u16,
    /// A participant showed a token with it: `{client_id}` is written anew and expires.
    pub by_token: bool,
    /// How the connection is taken up again, where it can be.
    pub recovery: Option<(RecoveryId, Recovery)>,
}

/// By what a lost connection is taken up again, on any replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    pub sid: SocketId,
    pub user_id: UserId,
    pub org_id: OrgId,
    /// `Kind::as_str`.
    pub kind: String,
    pub lesson: ClassroomId,
    pub seat: Option<String>,
    pub session_id: i64,
    /// The position of the classroom's events that the client was up to when it entered.
    pub seq: u64,
}

/// A socket that a replica has entered, and the lesson it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    pub socket: AppSocket,
    pub lesson: Option<ClassroomId>,
}

/// What came of a socket's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The lesson it was in.
    pub lesson: Option<ClassroomId>,
    /// The user has no other socket as this kind of client of this org: nobody came back in the meantime.
    pub was_latest: bool,
}

/// Contract: each of these is one atomic step, and may be repeated after an unknown outcome. Where a key that a step writes is
/// of another type than ours, the step fails and writes nothing.
/// What others read of a socket is `SocketId::shown`; a connection that was taken up and its former one are two sockets.
/// - `connect` enters the socket under the replica, and writes the keys of its kind: teacher: `alive:…` and `{user_id}`;
///   student: `{user_id}`; manager: `manager:…`; hub: none. An expiry that they had is taken away. It returns what
///   was known of the user before, which this socket does not count for.
/// - `join` makes `lesson_seat_…` where it is absent and never changes one that is there; writes `lesson_teacher_…` or
///   `lesson_student_…` with a day to live, and `lesson_id` into `{user_id}`. With `by_token` it writes `sid`, `client_id`
///   and `role` into `{user_id}` again and gives it a day to live; the other fields stay. It returns what was known of
///   the user before. Managers and hubs join nothing: a fault.
/// - `end` forgets the socket under its replica, and returns `None` where that had been done: whoever gets `Some` tells
///   the others. A socket that was lost with its state ends like any other, in no lesson but one that it joined since;
///   one that has ended enters nothing any more, whatever arrives late. A user's entry in the lesson goes if it is this socket's; a
///   `{user_id}` or `manager:…` that names this socket names the latest of the user's others, where there are any; of a
///   teacher who has no other socket, `alive:…`, where there is one, says so and expires. With `left`, `recovery` is forgotten, too,
///   unless another socket has taken it up.
/// - `restore` writes again what `connect` and `join` had written, where it is lost; it never takes anything from a
///   later socket of the same user that is there, and does nothing for one that has ended. A `{user_id}` or `manager:…`
///   that was left naming a socket that ended names this one. While the user has the lesson by
///   another socket that came no earlier, this one is entered in none, and is to be restored again. What it writes of a lesson has a day to live;
///   an `alive:…` that says `disconnect` is put right, and one that a log-out removed before the loss comes back.
/// - `room` and `set_room` are `lesson_room_…`.
/// - `entered` is what is entered under a replica: all that was there all the time; `replicas` under which there is
///   anything at all.
#[async_trait]
pub trait LessonState: Debug + Send + Sync {
    async fn connect(&self, replica: ReplicaId, socket: &AppSocket, login_time: i64) -> Result<Known, Fault>;
    async fn join(&self, replica: ReplicaId, socket: &AppSocket, entry: &Entry) -> Result<Known, Fault>;
    async fn end(
        &self,
        replica: ReplicaId,
        socket: &AppSocket,
        left: Option<&RecoveryId>,
    ) -> Result<Option<Ended>, Fault>;
    /// Removes `alive:…`.
    async fn log_out(&self, org: &OrgId, user: &UserId) -> Result<(), Fault>;
    /// `seats`: as in `Entry`. Returns whether it wrote: not for a socket that has ended.
    async fn restore(
        &self,
        replica: ReplicaId,
        entered: &Entered,
        login_time: i64,
        seats: u16,
    ) -> Result<bool, Fault>;
    async fn recovery(&self, pid: &RecoveryId) -> Result<Option<Recovery>, Fault>;
    async fn room(&self, lesson: &ClassroomId) -> Result<Option<String>, Fault>;
    async fn set_room(&self, lesson: &ClassroomId, room: &str) -> Result<(), Fault>;
    async fn entered(&self, replica: ReplicaId) -> Result<Vec<Entered>, Fault>;
    async fn replicas(&self) -> Result<Vec<ReplicaId>, Fault>;
    /// Whether it can be reached now, for readiness details and metrics.
    fn is_up(&self) -> bool;
}
