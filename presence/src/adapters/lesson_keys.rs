//! The names of the lesson state's keys: those of section 5 of `docs/PROTOCOL.md`, which backends read, and ours beside
//! them. Ours hold a `:` behind the prefix, so that no user's id is one of them.

use crate::ports::lesson_state::AppSocket;
use presence_core::{
    app::Kind,
    ids::{ClassroomId, OrgId, RecoveryId, ReplicaId, SocketId, UserId},
};

/// What every key begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) const fn new(prefix: String) -> Self {
        Self { prefix }
    }

    pub(super) fn alive(&self, org: &OrgId, user: &UserId) -> String {
        format!("{}alive:org_{org}_user_{user}", self.prefix)
    }

    /// Where it is written which socket a user has; of hubs it is written nowhere.
    pub(super) fn user(&self, socket: &AppSocket) -> Option<String> {
        let AppSocket { org_id, user_id, .. } = socket;
        match socket.kind {
            Kind::Teacher | Kind::Student => Some(format!("{}{user_id}", self.prefix)),
            Kind::Manager => Some(format!("{}manager:org_{org_id}_user_{user_id}", self.prefix)),
            Kind::TeacherHub => None,
        }
    }

    /// Who of a kind is in a lesson, without the lesson's own name.
    pub(super) fn members_of(&self, kind: Kind) -> Option<String> {
        kind.joins_lessons().then(|| format!("{}lesson_{kind}_", self.prefix))
    }

    pub(super) fn members(&self, kind: Kind, lesson: &ClassroomId) -> Option<String> {
        self.members_of(kind).map(|members| members + lesson.as_str())
    }

    /// Ours: whose socket it is that others see in a lesson.
    pub(super) fn owners_of(&self, kind: Kind) -> Option<String> {
        kind.joins_lessons().then(|| format!("{}presence:lesson_{kind}_", self.prefix))
    }

    pub(super) fn owners(&self, kind: Kind, lesson: &ClassroomId) -> Option<String> {
        self.owners_of(kind).map(|owners| owners + lesson.as_str())
    }

    pub(super) fn seats(&self, lesson: &ClassroomId) -> String {
        format!("{}lesson_seat_{lesson}", self.prefix)
    }

    pub(super) fn room(&self, lesson: &ClassroomId) -> String {
        format!("{}lesson_room_{lesson}", self.prefix)
    }

    /// Ours: the sockets that a replica has entered.
    pub(super) fn sockets(&self, replica: ReplicaId) -> String {
        format!("{}presence:sockets:{replica}", self.prefix)
    }

    /// Ours: the replicas that have entered any.
    pub(super) fn replicas(&self) -> String {
        format!("{}presence:replicas", self.prefix)
    }

    /// Ours: the sockets that one user has now, as one kind of client of one org.
    pub(super) fn sockets_of(&self, socket: &AppSocket) -> String {
        let AppSocket { org_id, user_id, kind, .. } = socket;
        format!("{}presence:user:{kind}:org_{org_id}_user_{user_id}", self.prefix)
    }

    /// Ours: that a socket has ended.
    pub(super) fn ended(&self, sid: &SocketId) -> String {
        format!("{}presence:ended:{sid}", self.prefix)
    }

    /// Ours: that a name is still a user's, and of nobody who is there. Without the name.
    pub(super) fn gone_of(&self) -> String {
        format!("{}presence:gone:", self.prefix)
    }

    /// `shown`: as others see it. Its connection may have been taken up, so that its end alone does not say it.
    pub(super) fn gone(&self, shown: &str) -> String {
        self.gone_of() + shown
    }

    /// Ours: by what a lost connection is taken up again.
    pub(super) fn recovery(&self, pid: &RecoveryId) -> String {
        format!("{}presence:recovery:{pid}", self.prefix)
    }

    /// Ours: what is written to see whether anything can be.
    pub(super) fn probe(&self) -> String {
        format!("{}presence:probe", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(kind: Kind) -> AppSocket {
        AppSocket {
            sid: "s".parse().unwrap(),
            user_id: "ann@school".parse().unwrap(),
            org_id: "o1".parse().unwrap(),
            kind,
            role: "teacher".into(),
        }
    }

    #[test]
    fn names_are_those_of_the_backend() {
        let (keys, lesson) = (Keys::default(), "math".parse().unwrap());
        let names = Kind::ALL.map(|kind| (keys.user(&socket(kind)), keys.members(kind, &lesson)));
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(
            names,
            [
                (some("ann@school"), some("lesson_teacher_math")),
                (some("ann@school"), some("lesson_student_math")),
                (some("manager:org_o1_user_ann@school"), None),
                (None, None),
            ]
        );
        let socket = socket(Kind::Teacher);
        assert_eq!(keys.alive(&socket.org_id, &socket.user_id), "alive:org_o1_user_ann@school");
        assert_eq!(keys.seats(&lesson), "lesson_seat_math");
        assert_eq!(keys.room(&lesson), "lesson_room_math");
    }

    #[test]
    fn a_prefix_is_before_them_all_and_ours_are_no_users() {
        let (keys, socket) = (Keys::new("school:".into()), socket(Kind::Teacher));
        let ours = [
            keys.sockets(ReplicaId(1)),
            keys.replicas(),
            keys.sockets_of(&socket),
            keys.owners(Kind::Teacher, &"math".parse().unwrap()).unwrap(),
            keys.ended(&socket.sid),
            keys.gone(socket.sid.as_str()),
            keys.recovery(&"p".parse().unwrap()),
            keys.probe(),
        ];
        for name in ours {
            let name = name.strip_prefix("school:").unwrap();
            assert!(name.starts_with("presence:") && name.parse::<UserId>().is_err(), "{name}");
        }
        assert_eq!(keys.user(&socket), Some("school:ann@school".into()));
    }
}
