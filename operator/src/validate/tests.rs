//! Findings by table: what is wrong with what a spec names, and what is said of it.

use k8s_openapi::ByteString;
use serde_json::json;

use super::*;
use crate::plan::fixture::cluster;
use crate::rotate;

const KINDS: Kinds = Kinds { pod_monitor: false, http_route: false };
const CERTIFICATE: &str = include_str!("testdata/certificate.pem");
const PUBLIC_KEY: &str = include_str!("testdata/public-key.pem");

fn secret(pairs: &[(&str, &str)]) -> Secret {
    let data = pairs.iter().map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())));
    Secret { data: Some(data.collect()), ..Secret::default() }
}

fn found(of: &PresenceCluster, secrets: &[(&str, Option<Secret>)]) -> Vec<Finding> {
    let wanted = wanted(of);
    let mut references = References::new(None);
    for (name, secret) in secrets {
        match secret {
            Some(secret) => references.present(name, secret, &wanted),
            None => references.absent(name),
        }
    }
    findings(of, &references, KINDS)
}

fn good() -> Secret {
    secret(&[("url", "postgres://presence@db:6432/presence\n")])
}

#[test]
fn a_spec_whose_secrets_can_be_used_has_no_findings_and_its_ports_are_known() {
    let of = cluster();
    assert_eq!(found(&of, &[("database", Some(good()))]), []);
    let wanted = wanted(&of);
    let mut references = References::new(None);
    references.present("database", &good(), &wanted);
    assert_eq!(references.ports(&wanted).database, Some(6432));
    assert_eq!(references.fingerprints(&wanted).len(), 1);
}

#[test]
fn each_broken_database_secret_is_named_with_what_to_do_and_without_what_it_holds() {
    let rows = [
        (None, Reason::SecretNotFound, "create it with key url"),
        (Some(secret(&[("uri", "hunter2")])), Reason::SecretKeyNotFound, "has no key url"),
        (Some(secret(&[])), Reason::SecretKeyNotFound, "has no key url"),
        (Some(secret(&[("url", "")])), Reason::SecretInvalid, "is empty"),
        (Some(secret(&[("url", "\n")])), Reason::SecretInvalid, "is empty"),
        (Some(secret(&[("url", "hunter2")])), Reason::SecretInvalid, "is not a URL"),
        (Some(secret(&[("url", "mysql://u:hunter2@db/x")])), Reason::SecretInvalid, "is not a URL"),
        (Some(secret(&[("url", "sqlite:/hunter2.db")])), Reason::SecretInvalid, "is not a URL"),
        (Some(secret(&[("url", "postgres:///hunter2")])), Reason::SecretInvalid, "without a host"),
        (Some(secret(&[("url", &"x".repeat(70_000))])), Reason::SecretInvalid, "longer than 64 KiB"),
    ];
    for (secret, reason, says) in rows {
        let findings = found(&cluster(), &[("database", secret)]);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.reason, finding.blocks), (reason, true), "{finding:?}");
        assert_eq!(finding.field, "spec.database.urlSecret");
        assert!(finding.message.contains(says) && finding.message.contains("Secret database"), "{finding:?}");
        assert!(
            finding.message.contains(&finding.field) && !finding.message.contains("hunter2"),
            "{finding:?}"
        );
    }
}

#[test]
fn a_secret_that_the_operator_may_not_read_is_refused_and_one_not_looked_at_is_pending() {
    let of = cluster();
    let mut references = References::new(None);
    assert_eq!(findings(&of, &references, KINDS)[0].reason, Reason::Pending);
    references.forbidden("database");
    let finding = findings(&of, &references, KINDS).remove(0);
    assert_eq!(finding.reason, Reason::Refused);
    assert!(blocks(&[finding]));
}

#[test]
fn what_is_not_text_is_said_to_be_so() {
    let data = [("url".to_owned(), ByteString(vec![0xff, 0xfe]))].into();
    let findings = found(&cluster(), &[("database", Some(Secret { data: Some(data), ..Secret::default() }))]);
    assert!(findings[0].message.contains("is not text"));
}

#[test]
fn contents_are_judged_by_what_they_are_for() {
    let creds = "-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\nx\n";
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#;
    let set = format!(r#"{{"keys":[{jwk}]}}"#);
    let many = format!(r#"{{"keys":[{}]}}"#, vec![jwk; 101].join(","));
    let private = r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"AAAA"}"#;
    // Never a key: only the shape of one.
    let private_pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let rows: &[(Purpose, &str, Result<(), Unusable>)] = &[
        (Purpose::RedisUrl, "rediss://cache", Ok(())),
        (Purpose::RedisUrl, "http://cache", Err(Unusable::NotSuchUrl)),
        (Purpose::Word, "pass word", Ok(())),
        (Purpose::Word, "\r\n", Err(Unusable::Empty)),
        (Purpose::NatsCredentials, creds, Ok(())),
        (Purpose::NatsCredentials, "-----BEGIN NATS USER JWT-----", Err(Unusable::Format)),
        (Purpose::Authority, CERTIFICATE, Ok(())),
        (Purpose::Authority, PUBLIC_KEY, Err(Unusable::Format)),
        (Purpose::Authority, "no PEM", Err(Unusable::Format)),
        (Purpose::Certificate, CERTIFICATE, Ok(())),
        (
            Purpose::Certificate,
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
            Err(Unusable::Format),
        ),
        (Purpose::PrivateKey, private_pem, Ok(())),
        (Purpose::PrivateKey, PUBLIC_KEY, Err(Unusable::Format)),
        (Purpose::PublicKeys, PUBLIC_KEY, Ok(())),
        (Purpose::PublicKeys, CERTIFICATE, Err(Unusable::Format)),
        (Purpose::PublicKeys, private_pem, Err(Unusable::Private)),
        (Purpose::PublicKeys, jwk, Ok(())),
        (Purpose::PublicKeys, &set, Ok(())),
        (Purpose::PublicKeys, r#"{"keys":[]}"#, Err(Unusable::Format)),
        (Purpose::PublicKeys, r#"{"kty":"EC","crv":"P-521","x":"A","y":"A"}"#, Err(Unusable::Format)),
        (Purpose::PublicKeys, "{", Err(Unusable::Format)),
        (Purpose::PublicKeys, private, Err(Unusable::Private)),
        (Purpose::PublicKeys, &many, Err(Unusable::TooManyKeys)),
    ];
    for (purpose, text, expected) in rows {
        let judged = judge(*purpose, b"", text.as_bytes()).map(drop);
        assert_eq!(&judged, expected, "{purpose:?} of {text:.80}");
    }
}

#[test]
fn a_fingerprint_changes_with_contents_and_salt_and_cannot_be_guessed_without() {
    let print = fingerprint(b"salt", b"password");
    assert_eq!(print.len(), 16);
    assert_eq!(print, fingerprint(b"salt", b"password"));
    assert_ne!(print, fingerprint(b"salt", b"passwort"));
    assert_ne!(print, fingerprint(b"salz", b"password"));
    let word = || Word::new("0123456789abcdef").unwrap();
    let shared = rotate::next(None, None, false, word).unwrap();
    let wanted = wanted(&cluster());
    let prints = |salt: Option<&Shared>| {
        let mut references = References::new(salt);
        references.present("database", &good(), &wanted);
        assert!(!format!("{references:?}").contains("0123456789abcdef"));
        references.fingerprints(&wanted)
    };
    assert_ne!(prints(None), prints(Some(&shared)));
}

#[test]
fn every_reference_of_a_full_spec_is_looked_at_once_and_named_by_its_field() {
    let mut of = cluster();
    let key = |name: &str| serde_json::from_value::<SecretKey>(json!({ "name": name, "key": "it" })).unwrap();
    of.spec.database.password_secret = Some(key("a"));
    of.spec.database.ca_secret = Some(key("b"));
    of.spec.database.migration_url_secret = Some(key("c"));
    of.spec.nats.credentials_secret = Some(key("d"));
    of.spec.nats.password_secret = Some(key("e"));
    of.spec.nats.token_secret = Some(key("f"));
    of.spec.nats.ca_secret = Some(key("g"));
    of.spec.nats.client_certificate_secret = Some("h".into());
    let redis = json!({ "urlSecret": key("i"), "passwordSecret": key("j"), "caSecret": key("k") });
    of.spec.redis = Some(serde_json::from_value(redis).unwrap());
    of.spec.auth.issuers[0].key_secret = Some(key("l"));
    of.spec.auth.authz.token_secret = Some(key("m"));
    of.spec.route =
        Some(serde_json::from_value(json!({ "ingress": { "host": "x", "tlsSecret": "n" } })).unwrap());
    of.spec.image.pull_secrets = vec!["p".into(), "q".into()];
    of.spec.analytics =
        Some(serde_json::from_value(json!({ "url": "https://x", "tokenSecret": key("o") })).unwrap());
    let wanted = wanted(&of);
    // Whatever names a Secret in the spec is in the list.
    let spec = serde_json::to_value(&of.spec).unwrap();
    let mut named = BTreeSet::new();
    secrets_of(&spec, "spec", &mut named);
    assert_eq!(wanted.iter().map(|it| it.field.clone()).collect::<BTreeSet<_>>(), named);
    assert_eq!(References::names(&wanted).len(), 18);
    let absent: Vec<_> = References::names(&wanted).into_iter().collect();
    let absent: Vec<_> = absent.iter().map(|name| (name.as_str(), None)).collect();
    let open =
        found(&of, &absent).into_iter().filter(|it| !it.blocks).map(|it| it.field).collect::<BTreeSet<_>>();
    assert_eq!(
        open,
        BTreeSet::from(["spec.route.ingress.tlsSecret".to_owned()]),
        "only this one may come later"
    );
}

fn secrets_of(value: &serde_json::Value, at: &str, into: &mut BTreeSet<String>) {
    if let Some(entries) = value.as_object() {
        for (key, value) in entries {
            let path = format!("{at}.{key}");
            if key.ends_with("Secret") {
                into.insert(path);
            } else if let (true, Some(names)) = (key.ends_with("Secrets"), value.as_array()) {
                into.extend((0..names.len()).map(|index| format!("{path}[{index}]")));
            } else {
                secrets_of(value, &path, into);
            }
        }
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        secrets_of(value, &format!("{at}[{index}]"), into);
    }
}

/// One to pull images with, and what it holds by key.
fn registry(kind: &str, pairs: &[(&str, &str)]) -> Secret {
    Secret { type_: Some(kind.to_owned()), ..secret(pairs) }
}

#[test]
fn a_secret_to_pull_with_is_what_kubelets_read_of_its_type() {
    const JSON: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
    const FORMER: (&str, &str) = ("kubernetes.io/dockercfg", ".dockercfg");
    let entry = r#"{"registry.example":{"auth":"hunter2"}}"#;
    let auths = format!(r#"{{"auths":{entry}}}"#);
    let of_type = |(kind, key): (&str, &str), text: &str| Some(registry(kind, &[(key, text)]));
    let invalid = Some((Reason::SecretInvalid, "`kubectl create secret docker-registry`"));
    let rows = [
        (of_type(JSON, &auths), None),
        (of_type(FORMER, entry), None),
        (None, Some((Reason::SecretNotFound, "create it with key .dockerconfigjson"))),
        (of_type((JSON.0, FORMER.1), entry), Some((Reason::SecretKeyNotFound, "no key .dockerconfigjson"))),
        (of_type(("Opaque", JSON.1), &auths), Some((Reason::SecretInvalid, "the Secret's type is not"))),
        (Some(secret(&[(JSON.1, &auths)])), Some((Reason::SecretInvalid, "the Secret's type is not"))),
        (of_type(JSON, entry), invalid),
        (of_type(JSON, r#"{"auths":{}}"#), invalid),
        (of_type(JSON, r#"{"auths":{"registry.example":"hunter2"}}"#), invalid),
        (of_type(JSON, "hunter2"), invalid),
        (of_type(FORMER, "{}"), invalid),
    ];
    let mut of = cluster();
    of.spec.image.pull_secrets = vec!["registry".into()];
    for (index, (pull, expected)) in rows.into_iter().enumerate() {
        let findings = found(&of, &[("database", Some(good())), ("registry", pull)]);
        let Some((reason, says)) = expected else {
            assert_eq!(findings, [], "row {index}");
            continue;
        };
        let [finding] = findings.as_slice() else { panic!("row {index}: {findings:?}") };
        assert_eq!((finding.reason, finding.blocks), (reason, true), "row {index}: {finding:?}");
        assert_eq!(finding.field, "spec.image.pullSecrets[0]");
        let message = &finding.message;
        assert!(message.contains(says) && message.contains("Secret registry"), "row {index}: {message}");
        assert!(message.contains(&finding.field) && !message.contains("hunter2"), "row {index}: {message}");
    }
}

#[test]
fn a_secret_to_pull_with_replaces_no_pod_and_may_be_kept_from_the_operator() {
    let mut of = cluster();
    of.spec.image.pull_secrets = vec!["registry".into()];
    let wanted = wanted(&of);
    let mut references = References::new(None);
    references.present("database", &good(), &wanted);
    let auths = r#"{"auths":{"registry.example":{}}}"#;
    references.present(
        "registry",
        &registry("kubernetes.io/dockerconfigjson", &[(".dockerconfigjson", auths)]),
        &wanted,
    );
    let names: Vec<_> = references.fingerprints(&wanted).into_keys().map(|key| key.name).collect();
    assert_eq!(names, ["database"]);
    references.forbidden("registry");
    assert_eq!(findings(&of, &references, KINDS), []);
}

#[test]
fn a_url_with_a_password_and_a_password_beside_it_are_one_too_many() {
    let mut of = cluster();
    of.spec.database.password_secret = Some(SecretKey { name: "database".into(), key: "password".into() });
    let with = |url: &str| secret(&[("url", url), ("password", "hunter2")]);
    assert_eq!(found(&of, &[("database", Some(with("postgres://u@db/x")))]), []);
    let findings = found(&of, &[("database", Some(with("postgres://u:hunter2@db/x")))]);
    assert_eq!(
        (findings[0].reason, findings[0].field.as_str()),
        (Reason::SecretInvalid, "spec.database.passwordSecret")
    );
    assert!(!findings[0].message.contains("hunter2"));
}

#[test]
fn a_gateway_needs_its_kind_and_a_taken_name_is_left_alone() {
    let mut of = cluster();
    let route = json!({ "gateway": { "name": "edge", "hostnames": ["x"] } });
    of.spec.route = Some(serde_json::from_value(route).unwrap());
    let findings = found(&of, &[("database", Some(good()))]);
    assert_eq!(
        (findings[0].reason, findings[0].field.as_str()),
        (Reason::KindNotFound, "spec.route.gateway")
    );
    let service = ObjectRef { api_version: "v1".into(), kind: "Service".into(), name: "lessons".into() };
    let taken = taken(&[service]);
    assert_eq!(taken[0].reason, Reason::NameTaken);
    assert!(taken[0].message.contains("Service lessons"));
    assert_eq!(unservable(&"spec.doors: bad").reason, Reason::SpecInvalid);
}
