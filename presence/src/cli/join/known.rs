//! What the client knows: its session, its place in the stream, and who is present. Pure: text in, news out.

use presence_api::{
    event::{AgentPayload, ENTITY, Operation},
    frames::{
        ClientFrame, ConnectRequest, Connected, Delivered, Resume, ServerFrame, SessionError, Snapshot,
    },
};
use presence_core::{
    close::Reason,
    ids::{AgentLabel, ClassroomId},
};
use std::{collections::BTreeSet, time::Duration};

/// What a frame meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// In; whether as if never away.
    Connected {
        resumed: bool,
        replica: String,
    },
    /// What happened in between is not known, but who is present now is.
    Resync,
    Entered(String),
    Left(String),
    /// An event of another service.
    Other {
        what: String,
        payload: String,
    },
    /// Connect again after this, then close this socket.
    Terminated {
        after: Duration,
        why: String,
    },
    /// The server is about to close the socket.
    Closing {
        again: bool,
        after: Option<Duration>,
        why: String,
    },
    /// An event that an earlier socket brought.
    Repeated,
    /// Something of a newer server.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Known {
    classroom: ClassroomId,
    label: AgentLabel,
    session_id: Option<i64>,
    last_seq: u64,
    /// Those whom the snapshot or an event named.
    pub(super) present: BTreeSet<String>,
    /// Those whom the snapshot counted and did not name.
    pub(super) unnamed: u64,
    /// How often a connect succeeded.
    pub(super) connects: u64,
}

impl Known {
    pub(super) fn new(classroom: &ClassroomId, label: &AgentLabel) -> Self {
        Self {
            classroom: classroom.clone(),
            label: label.clone(),
            session_id: None,
            last_seq: 0,
            present: BTreeSet::new(),
            unnamed: 0,
            connects: 0,
        }
    }

    pub(super) fn classroom(&self) -> &ClassroomId {
        &self.classroom
    }

    /// The first frame of a socket. It asks to resume where there is something to resume.
    pub(super) fn request(&self, token: &str) -> ClientFrame {
        let last_seq = self.last_seq;
        ClientFrame::ConnectRequest(ConnectRequest {
            agent_label: self.label.to_string(),
            classroom_id: self.classroom.to_string(),
            token: token.to_owned(),
            resume: self.session_id.map(|session_id| Resume { session_id, last_seq }),
        })
    }

    pub(super) fn hear(&mut self, frame: &str) -> News {
        if let Ok(event) = serde_json::from_str::<Delivered>(frame) {
            return self.event(&event);
        }
        match serde_json::from_str::<ServerFrame>(frame) {
            Ok(ServerFrame::ConnectSuccess(connected)) => self.connected(connected),
            Ok(ServerFrame::Resync(snapshot)) => {
                self.learn(snapshot);
                News::Resync
            }
            Ok(ServerFrame::RecoverableSessionError(error))
                if error.kind == Reason::Terminated.row().name =>
            {
                News::Terminated {
                    after: Duration::from_millis(error.reconnect_after_ms.unwrap_or(0)),
                    why: error.reason.unwrap_or(error.kind),
                }
            }
            Ok(ServerFrame::RecoverableSessionError(error)) => closing(error, true),
            Ok(ServerFrame::UnrecoverableSessionError(error)) => {
                // Some are called unrecoverable for the sake of old clients only: the table knows.
                let reason = Reason::ALL.iter().find(|reason| reason.row().name == error.kind);
                closing(error, reason.is_some_and(|reason| reason.reconnect()))
            }
            Err(_) => News::Unknown,
        }
    }

    fn connected(&mut self, connected: Connected) -> News {
        let Connected { session_id, resumed, replica, snapshot } = connected;
        self.connects += 1;
        self.session_id = Some(session_id);
        if !resumed {
            self.learn(snapshot);
        }
        News::Connected { resumed, replica }
    }

    fn learn(&mut self, snapshot: Snapshot) {
        self.last_seq = snapshot.seq;
        self.present = snapshot.agents.into_iter().map(|agent| agent.agent_id).collect();
        self.unnamed = snapshot.agents_total.saturating_sub(self.present.len() as u64);
    }

    fn event(&mut self, event: &Delivered) -> News {
        if event.seq <= self.last_seq {
            return News::Repeated;
        }
        self.last_seq = event.seq;
        let ours = (event.id.entity_type == ENTITY)
            .then(|| serde_json::from_str::<AgentPayload>(event.payload.get()).ok())
            .flatten();
        match ours {
            Some(AgentPayload { label: Operation::Entered, agent_id, .. }) => {
                self.present.insert(agent_id.clone());
                News::Entered(agent_id)
            }
            Some(AgentPayload { label: Operation::Left, agent_id, .. }) => {
                if !self.present.remove(&agent_id) {
                    self.unnamed = self.unnamed.saturating_sub(1);
                }
                News::Left(agent_id)
            }
            None => News::Other {
                what: format!("{}.{}", event.id.entity_type, event.id.operation),
                payload: event.payload.get().to_owned(),
            },
        }
    }
}

fn closing(error: SessionError, again: bool) -> News {
    News::Closing {
        again,
        after: error.reconnect_after_ms.map(Duration::from_millis),
        why: match error.detail {
            Some(detail) => format!("{}: {detail}", error.kind),
            None => error.kind,
        },
    }
}

/// Whether a close code leaves it worth trying again: ours say so, and of RFC 6455's those that blame nobody.
pub(super) const fn again_after(code: u16) -> bool {
    matches!(code, 1001 | 1005 | 1006 | 1011..=1014 | 4000..=4499)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known::new(&"math".parse().unwrap(), &"cli".parse().unwrap())
    }

    fn success(seq: u64, resumed: bool, agents: &[&str], total: u64) -> String {
        let agents: Vec<_> = agents.iter().map(|id| serde_json::json!({"id": 1, "agent_id": id})).collect();
        serde_json::json!({"type": "connect_success", "payload": {
            "session_id": 7, "seq": seq, "resumed": resumed, "replica": "r", "agents": agents, "agents_total": total,
        }})
        .to_string()
    }

    fn event(label: &str, agent: &str, seq: u64) -> String {
        format!(
            r#"{{"id":{{"entity_type":"agent","operation":"{label}","sequence_id":9}},"payload":{{"version":"v1",
            "entity_type":"agent","label":"{label}","agent_id":"{agent}"}},"seq":{seq}}}"#
        )
    }

    fn resume(known: &Known) -> Option<(i64, u64)> {
        let ClientFrame::ConnectRequest(request) = known.request("t");
        request.resume.map(|resume| (resume.session_id, resume.last_seq))
    }

    #[test]
    fn a_resume_names_the_last_position_heard() {
        let mut known = known();
        assert_eq!(resume(&known), None);
        known.hear(&success(40, false, &["web.a.x"], 1));
        assert_eq!(resume(&known), Some((7, 40)));
        known.hear(&event("entered", "web.b.x", 43));
        assert_eq!(resume(&known), Some((7, 43)));
        // Resumed: the events in between follow, so the position stays where it was.
        known.hear(&success(50, true, &["web.c.x"], 1));
        assert_eq!(resume(&known), Some((7, 43)));
        assert_eq!(known.present.len(), 2);
        known.hear(&success(60, false, &["web.c.x"], 1));
        assert_eq!((resume(&known), known.present.len()), (Some((7, 60)), 1));
    }

    #[test]
    fn who_is_present_follows_the_events() {
        let mut known = known();
        known.hear(&success(1, false, &["web.a.x", "web.b.x"], 5));
        assert_eq!(known.unnamed, 3);
        assert_eq!(known.hear(&event("entered", "web.c.x", 2)), News::Entered("web.c.x".into()));
        assert_eq!(known.hear(&event("left", "web.a.x", 3)), News::Left("web.a.x".into()));
        assert_eq!(known.hear(&event("left", "web.z.x", 4)), News::Left("web.z.x".into()));
        assert_eq!(known.hear(&event("entered", "web.z.x", 4)), News::Repeated);
        assert_eq!((known.present.len(), known.unnamed), (2, 2));
        let chat =
            r#"{"id":{"entity_type":"chat","operation":"said","sequence_id":1},"payload":{"t":1},"seq":5}"#;
        assert_eq!(known.hear(chat), News::Other { what: "chat.said".into(), payload: r#"{"t":1}"#.into() });
        assert_eq!(known.hear(r#"{"type":"of a newer server"}"#), News::Unknown);
    }

    #[test]
    fn every_end_says_whether_to_come_back() {
        let mut known = known();
        for reason in Reason::ALL {
            let error = SessionError::from(reason.row());
            let frame = match reason.row().frame {
                presence_core::close::Frame::Unrecoverable => ServerFrame::UnrecoverableSessionError(error),
                presence_core::close::Frame::Recoverable => ServerFrame::RecoverableSessionError(error),
                presence_core::close::Frame::None => continue,
            };
            let again = match known.hear(&serde_json::to_string(&frame).unwrap()) {
                News::Terminated { .. } => true,
                News::Closing { again, .. } => again,
                other => panic!("{other:?}"),
            };
            assert_eq!(again, reason.reconnect(), "{reason:?}");
            assert_eq!(again_after(reason.row().code), reason.reconnect(), "{reason:?}");
        }
    }
}
