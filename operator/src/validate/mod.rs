//! What a spec refers to and its schema cannot know: Secrets, kinds, names. Pure: `fetch` fills [`References`], in which no
//! content of a Secret is kept, only whether it can be used and its fingerprint.

mod content;
mod registry;
mod wanted;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;

use crate::crd::{PresenceCluster, Reason, SecretKey};
use crate::facts::{Kinds, Ports};
use crate::object::ObjectRef;
use crate::rotate::{Shared, Word};

pub use content::{Judged, Unusable, fingerprint, judge};
pub use wanted::{Purpose, Wanted, wanted};

/// Something that a spec refers to and that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub reason: Reason,
    /// Names the object and says what to do. Never holds what is in a Secret.
    pub message: String,
    /// Where the spec refers to it: `spec.database.urlSecret`.
    pub field: String,
    /// Nothing may be changed while it is so. Otherwise it is only said.
    pub blocks: bool,
}

/// Of findings that block, no plan comes.
pub fn blocks(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.blocks)
}

/// What the Secrets that a spec names look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    salt: Option<Word>,
    secrets: BTreeMap<String, Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Absent,
    /// The API server does not let us read it.
    Forbidden,
    Present(BTreeMap<(String, Purpose), Result<Judged, Unusable>>),
}

impl References {
    /// `shared` salts the fingerprints, so that nobody who sees them can try out passwords against them. It is there before
    /// any pod is; each of its changes is a new revision anyhow.
    pub fn new(shared: Option<&Shared>) -> Self {
        Self { salt: shared.map(|shared| shared.secret().clone()), secrets: BTreeMap::new() }
    }

    /// The Secrets to get, each once.
    pub fn names(wanted: &[Wanted]) -> BTreeSet<String> {
        wanted.iter().map(|wanted| wanted.key.name.clone()).collect()
    }

    pub fn absent(&mut self, name: &str) {
        self.secrets.insert(name.to_owned(), Seen::Absent);
    }

    /// The API server answered 403.
    pub fn forbidden(&mut self, name: &str) {
        self.secrets.insert(name.to_owned(), Seen::Forbidden);
    }

    /// Judges what `wanted` needs of the Secret. Nothing of its contents is kept.
    pub fn present(&mut self, name: &str, secret: &Secret, wanted: &[Wanted]) {
        let data = secret.data.as_ref();
        let salt = self.salt.as_ref().map_or("", Word::expose).as_bytes();
        let judged = wanted.iter().filter(|wanted| wanted.key.name == name).filter_map(|wanted| {
            let judged = match wanted.purpose {
                Purpose::Registry => registry::judge(secret)?.map(|()| Judged::default()),
                purpose => judge(purpose, salt, &data?.get(&wanted.key.key)?.0),
            };
            Some(((wanted.key.key.clone(), wanted.purpose), judged))
        });
        let judged = judged.collect();
        self.secrets.insert(name.to_owned(), Seen::Present(judged));
    }

    /// The fingerprints of what pods are given: a changed one is a new revision.
    pub fn fingerprints(&self, wanted: &[Wanted]) -> BTreeMap<SecretKey, String> {
        let mounted = wanted.iter().filter(|wanted| wanted.purpose.is_mounted());
        mounted
            .filter_map(|wanted| Some((wanted.key.clone(), self.usable(wanted)?.fingerprint.clone())))
            .collect()
    }

    /// The ports that the URLs in Secrets name.
    pub fn ports(&self, wanted: &[Wanted]) -> Ports {
        let port = |purpose| {
            let mut ports = wanted.iter().filter(|wanted| wanted.purpose == purpose);
            ports.find_map(|wanted| self.usable(wanted)?.port)
        };
        let migration = wanted.iter().find(|wanted| wanted.field == "spec.database.migrationUrlSecret");
        Ports {
            database: port(Purpose::DatabaseUrl),
            migration: migration.and_then(|wanted| self.usable(wanted)?.port),
            redis: port(Purpose::RedisUrl),
        }
    }

    fn usable(&self, wanted: &Wanted) -> Option<&Judged> {
        match self.secrets.get(&wanted.key.name)? {
            Seen::Present(keys) => keys.get(&(wanted.key.key.clone(), wanted.purpose))?.as_ref().ok(),
            Seen::Absent | Seen::Forbidden => None,
        }
    }

    fn finding(&self, wanted: &Wanted) -> Option<Finding> {
        let SecretKey { name, key } = &wanted.key;
        let field = &wanted.field;
        let (reason, message) = match self.secrets.get(name) {
            None => (Reason::Pending, format!("Secret {name} ({field}) has not been looked at yet")),
            Some(Seen::Absent) => (
                Reason::SecretNotFound,
                format!(
                    "there is no Secret {name} ({field}): create it with key {key}, {}",
                    wanted.purpose.holds()
                ),
            ),
            // Whoever keeps it from the operator does so on purpose; a pull that fails says so by itself.
            Some(Seen::Forbidden) if wanted.purpose.is_for_kubelets() => return None,
            Some(Seen::Forbidden) => (
                Reason::Refused,
                format!(
                    "the operator may not read Secret {name} ({field}): grant its service account `get` on it"
                ),
            ),
            Some(Seen::Present(keys)) => match keys.get(&(key.clone(), wanted.purpose)) {
                None => (
                    Reason::SecretKeyNotFound,
                    format!("Secret {name} has no key {key} ({field}): add it, {}", wanted.purpose.holds()),
                ),
                Some(Err(unusable)) => (
                    Reason::SecretInvalid,
                    format!(
                        "key {key} of Secret {name} ({field}) {unusable}: it {}",
                        wanted.purpose.must_hold()
                    ),
                ),
                Some(Ok(_)) => return None,
            },
        };
        Some(Finding { reason, message, field: field.clone(), blocks: wanted.purpose.is_needed() })
    }
}

/// All that is wrong with what the spec refers to, in the order of the spec.
pub fn findings(of: &PresenceCluster, references: &References, kinds: Kinds) -> Vec<Finding> {
    let mut findings: Vec<_> = wanted(of).iter().filter_map(|wanted| references.finding(wanted)).collect();
    findings.extend(two_passwords(of, references));
    if of.spec.route.as_ref().is_some_and(|route| route.gateway.is_some()) && !kinds.http_route {
        findings.push(Finding {
            reason: Reason::KindNotFound,
            message: "this cluster knows no HTTPRoute (gateway.networking.k8s.io/v1): install the Gateway API, or use \
                      spec.route.ingress"
                .to_owned(),
            field: "spec.route.gateway".to_owned(),
            blocks: true,
        });
    }
    findings
}

/// The server refuses to choose between a password in a URL and one beside it.
fn two_passwords(of: &PresenceCluster, references: &References) -> Vec<Finding> {
    let wanted = wanted(of);
    let url = |purpose, field: &str| wanted.iter().find(|it| it.purpose == purpose && it.field == field);
    let pairs = [
        (url(Purpose::DatabaseUrl, "spec.database.urlSecret"), "spec.database.passwordSecret"),
        (url(Purpose::RedisUrl, "spec.redis.urlSecret"), "spec.redis.passwordSecret"),
    ];
    let both = pairs.into_iter().filter_map(|(url, password)| {
        let url = url?;
        let judged = references.usable(url)?;
        let (SecretKey { name, key }, field) = (&url.key, &url.field);
        let given = wanted.iter().any(|it| it.field == password);
        (judged.has_password && given).then(|| Finding {
            reason: Reason::SecretInvalid,
            message: format!(
                "key {key} of Secret {name} ({field}) has a password in its URL, and {password} names another: leave one \
                 of them out"
            ),
            field: password.to_owned(),
            blocks: true,
        })
    });
    both.collect()
}

/// Names that we need and that others have.
pub fn taken(objects: &[ObjectRef]) -> Vec<Finding> {
    objects.iter().map(name_taken).collect()
}

fn name_taken(object: &ObjectRef) -> Finding {
    let ObjectRef { kind, name, .. } = object;
    Finding {
        reason: Reason::NameTaken,
        message: format!(
            "{kind} {name} belongs to somebody else and is left alone: remove or rename it, or give this PresenceCluster \
             another name"
        ),
        field: "metadata.name".to_owned(),
        blocks: true,
    }
}

/// The spec cannot be rendered, though the schema admits it: `desired` says why.
pub fn unservable(why: &impl std::fmt::Display) -> Finding {
    Finding { reason: Reason::SpecInvalid, message: why.to_string(), field: "spec".to_owned(), blocks: true }
}
