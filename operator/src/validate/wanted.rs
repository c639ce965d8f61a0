//! Each Secret that a spec refers to: which key, what for, and where in the spec it stands.

use super::registry;
use crate::crd::{PresenceCluster, PresenceClusterSpec, SecretKey};

/// What a key of a Secret is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    DatabaseUrl,
    RedisUrl,
    /// A password or a token.
    Word,
    /// A NATS credentials file.
    NatsCredentials,
    /// Certificates in PEM that are trusted.
    Authority,
    /// A certificate of our own, in PEM.
    Certificate,
    /// Its key, in PEM.
    PrivateKey,
    /// Public keys that tokens are verified with: PEM, JWK or JWKS.
    PublicKeys,
    /// A certificate that the Ingress controller serves with; pods never see it. It may be made only once the Ingress is
    /// there, so its absence blocks nothing.
    ServedCertificate,
    /// The key of it.
    ServedKey,
    /// What a kubelet pulls the image with. Which key it is, is for the Secret's type to say.
    Registry,
}

impl Purpose {
    /// Whether pods are given it: then it counts for the revision.
    pub const fn is_mounted(self) -> bool {
        self.is_needed() && !matches!(self, Self::Registry)
    }

    /// Whether nothing goes without it. A revision whose image cannot be pulled is not begun: once its pods have failed, kubelets
    /// try again only minutes after the Secret is there.
    pub const fn is_needed(self) -> bool {
        !matches!(self, Self::ServedCertificate | Self::ServedKey)
    }

    /// Whether others than the operator read it, so that it may be kept from the operator.
    pub const fn is_for_kubelets(self) -> bool {
        matches!(self, Self::Registry)
    }

    /// `create it with key …, which holds …`
    pub(super) fn holds(self) -> String {
        format!("which holds {}", self.contents())
    }

    /// `it must hold …`
    pub(super) fn must_hold(self) -> String {
        format!("must hold {}", self.contents())
    }

    const fn contents(self) -> &'static str {
        match self {
            Self::DatabaseUrl => "a URL such as postgres://user@host:5432/database",
            Self::RedisUrl => "a URL such as redis://host:6379/0",
            Self::Word => "nothing but the password or token",
            Self::NatsCredentials => "a NATS credentials file with a user JWT and its seed",
            Self::Authority | Self::Certificate | Self::ServedCertificate => "certificates in PEM",
            Self::PrivateKey | Self::ServedKey => "a private key in PEM",
            Self::PublicKeys => "one public key in PEM, or a JWK or JWKS in JSON",
            Self::Registry => {
                "registries and what to say to them, as `kubectl create secret docker-registry` writes it"
            }
        }
    }
}

/// A reference of the spec to a key of a Secret in its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub key: SecretKey,
    pub purpose: Purpose,
    /// `spec.auth.issuers[0].keySecret`
    pub field: String,
}

/// All references to Secrets, in the order of the spec.
pub fn wanted(of: &PresenceCluster) -> Vec<Wanted> {
    let spec = &of.spec;
    let mut list = List(Vec::new());
    for (index, name) in spec.image.pull_secrets.iter().enumerate() {
        let key = SecretKey { name: name.clone(), key: registry::KEY.to_owned() };
        list.add(format!("spec.image.pullSecrets[{index}]"), Some(&key), Purpose::Registry);
    }
    backing(spec, &mut list);
    for (index, issuer) in spec.auth.issuers.iter().enumerate() {
        list.add(
            format!("spec.auth.issuers[{index}].keySecret"),
            issuer.key_secret.as_ref(),
            Purpose::PublicKeys,
        );
    }
    list.add("spec.auth.authz.tokenSecret", spec.auth.authz.token_secret.as_ref(), Purpose::Word);
    if let Some(ingress) = spec.route.as_ref().and_then(|route| route.ingress.as_ref()) {
        list.pair(
            "spec.route.ingress.tlsSecret",
            ingress.tls_secret.as_ref(),
            [Purpose::ServedCertificate, Purpose::ServedKey],
        );
    }
    let analytics = spec.analytics.as_ref();
    list.add("spec.analytics.tokenSecret", analytics.map(|analytics| &analytics.token_secret), Purpose::Word);
    list.0
}

fn backing(spec: &PresenceClusterSpec, list: &mut List) {
    let database = &spec.database;
    list.add("spec.database.urlSecret", Some(&database.url_secret), Purpose::DatabaseUrl);
    list.add("spec.database.passwordSecret", database.password_secret.as_ref(), Purpose::Word);
    list.add("spec.database.caSecret", database.ca_secret.as_ref(), Purpose::Authority);
    list.add(
        "spec.database.migrationUrlSecret",
        database.migration_url_secret.as_ref(),
        Purpose::DatabaseUrl,
    );
    let nats = &spec.nats;
    list.add("spec.nats.credentialsSecret", nats.credentials_secret.as_ref(), Purpose::NatsCredentials);
    list.add("spec.nats.passwordSecret", nats.password_secret.as_ref(), Purpose::Word);
    list.add("spec.nats.tokenSecret", nats.token_secret.as_ref(), Purpose::Word);
    list.add("spec.nats.caSecret", nats.ca_secret.as_ref(), Purpose::Authority);
    list.pair(
        "spec.nats.clientCertificateSecret",
        nats.client_certificate_secret.as_ref(),
        [Purpose::Certificate, Purpose::PrivateKey],
    );
    let Some(redis) = &spec.redis else { return };
    list.add("spec.redis.urlSecret", Some(&redis.url_secret), Purpose::RedisUrl);
    list.add("spec.redis.passwordSecret", redis.password_secret.as_ref(), Purpose::Word);
    list.add("spec.redis.caSecret", redis.ca_secret.as_ref(), Purpose::Authority);
}

struct List(Vec<Wanted>);

impl List {
    fn add(&mut self, field: impl Into<String>, key: Option<&SecretKey>, purpose: Purpose) {
        self.0.extend(key.map(|key| Wanted { key: key.clone(), purpose, field: field.into() }));
    }

    /// A Secret of type `kubernetes.io/tls`.
    fn pair(&mut self, field: &str, name: Option<&String>, [certificate, key]: [Purpose; 2]) {
        let part = |part: &str| name.map(|name| SecretKey { name: name.clone(), key: part.to_owned() });
        self.add(field, part("tls.crt").as_ref(), certificate);
        self.add(field, part("tls.key").as_ref(), key);
    }
}
