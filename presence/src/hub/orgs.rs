//! Who of an org hears its notices on this replica: hubs of teachers going, managers of log-outs.

use super::Mailbox;
use crate::{conversation::encode, event::packet, ports::notices::Notice};
use presence_api::lesson;
use presence_core::{
    app::Kind,
    ids::{OrgId, SocketId},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Listeners = BTreeMap<(OrgId, Kind), BTreeMap<SocketId, Arc<Mailbox>>>;

#[derive(Debug, Clone, Default)]
pub struct Orgs(Arc<Mutex<Listeners>>);

/// A socket that hears its org's notices until this is dropped.
#[derive(Debug)]
pub struct Listening {
    orgs: Orgs,
    channel: (OrgId, Kind),
    sid: SocketId,
}

impl Orgs {
    pub fn listen(&self, org: &OrgId, kind: Kind, sid: &SocketId, mailbox: &Arc<Mailbox>) -> Listening {
        let channel = (org.clone(), kind);
        self.lock().entry(channel.clone()).or_default().insert(sid.clone(), mailbox.clone());
        Listening { orgs: self.clone(), channel, sid: sid.clone() }
    }

    /// Tells those who are here; encoded once. Returns how many took it.
    pub fn tell(&self, notice: &Notice) -> usize {
        let listeners = self.lock();
        let Some(channel) = listeners.get(&(notice.org_id().clone(), notice.audience())) else { return 0 };
        let body = match notice {
            Notice::TeacherDisconnect { user_id, .. } => {
                encode(&lesson::TeacherDisconnect { user_id: user_id.clone() })
            }
            Notice::LogOut { org_id, user_id } => {
                encode(&lesson::LogOut { user_id: user_id.clone(), org_id: org_id.clone() })
            }
        };
        let packet = packet(notice.name(), &body, None);
        // One whose connection broke waits only for the end of its grace: nothing is kept for it.
        channel.values().filter(|mailbox| mailbox.has_socket() && mailbox.push(packet.clone())).count()
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = self.orgs.lock();
        if let Some(channel) = listeners.get_mut(&self.channel) {
            channel.remove(&self.sid);
            if channel.is_empty() {
                listeners.remove(&self.channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tongue;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_notice_reaches_its_audience_in_its_org_once() {
        let (orgs, mailbox) = (Orgs::default(), || Arc::new(Mailbox::of(Tongue::SocketIo, 1024)));
        let (hub, manager, elsewhere) = (mailbox(), mailbox(), mailbox());
        let id = |text: &str| text.parse().unwrap();
        let org = |text: &str| text.parse().unwrap();
        let _hub = orgs.listen(&org("o"), Kind::TeacherHub, &id("a"), &hub);
        let _manager = orgs.listen(&org("o"), Kind::Manager, &id("b"), &manager);
        let gone = orgs.listen(&org("p"), Kind::TeacherHub, &id("c"), &elsewhere);
        let notice = Notice::TeacherDisconnect { org_id: org("o"), user_id: "t".parse().unwrap() };
        assert_eq!(orgs.tell(&notice), 1);
        let cx = Context::from_waker(Waker::noop());
        let packet = r#"42["teacher_disconnect",{"user_id":"t"}]"#;
        assert_eq!(hub.poll_frame(&cx), Poll::Ready(packet.into()));
        for silent in [hub, manager, elsewhere] {
            assert_eq!(silent.poll_frame(&cx), Poll::Pending);
        }
        drop(gone);
        assert_eq!(orgs.lock().len(), 2);
    }
}
