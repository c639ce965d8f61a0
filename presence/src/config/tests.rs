//! What the settings do as a whole: layers, errors, secrets, the committed schema.

use super::*;
use bus::BusUrl;
use std::io::Write as _;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| (*name, *value)).collect()
}

pub(super) fn load(pairs: &[(&str, &str)]) -> Result<Config, Error> {
    Config::load(None, &environment(pairs))
}

pub(super) fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

pub(super) fn problems(result: Result<Config, Error>) -> Vec<String> {
    let Err(Error(problems)) = result else { panic!("accepted: {result:?}") };
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_set_is_a_laptop() {
    let config = load(&[]).unwrap();
    assert_eq!(config.public.addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.store_url(), StoreUrl::Sqlite("data/presence.db".into()));
    assert_eq!(config.bus.url, BusUrl::InProcess);
    assert_eq!(config.replica.label, "local");
    assert_eq!(config.replica.address, "127.0.0.1:8081");
    assert!(config.has_live_page() && config.auth.is_embedded());
    assert_eq!(config.origin_policy(), OriginPolicy::Any);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = file(concat!(
        "store:\n  max_connections: 20\n  url: 'sqlite:/tmp/x.db'\n",
        "bus:\nsession: { leave_grace: 1s }\n"
    ));
    let env = environment(&[("PRESENCE_STORE__MAX_CONNECTIONS", "30"), ("HOSTNAME", "pod-7")]);
    let config = Config::load(Some(file.path()), &env).unwrap();
    assert_eq!(config.store.max_connections, 30);
    assert_eq!(config.store.url, Some(StoreUrl::Sqlite("/tmp/x.db".into())));
    assert_eq!(config.session.leave_grace, text::Period::secs(1));
    assert_eq!(config.session.lease_ttl, text::Period::secs(10));
    assert_eq!(config.replica.label, "pod-7");
}

#[test]
fn text_in_a_variable_becomes_what_its_key_takes() {
    let config = load(&[
        ("PRESENCE_BUS__REPLICAS", "3"),
        ("PRESENCE_BUS__URL", "nats://a:4222,nats://b:4222"),
        ("PRESENCE_BUS__USER", "17"),
        ("PRESENCE_BUS__PASSWORD", "00123"),
        ("PRESENCE_PUBLIC__LIVE_PAGE", "false"),
        ("PRESENCE_PUBLIC__ORIGINS", "https://a.example, https://b.example"),
        ("PRESENCE_PUBLIC__TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8"),
        ("PRESENCE_TELEMETRY__SAMPLE_RATIO", "0.25"),
        ("PRESENCE_AUTH__AUTHZ__MODE", "allow"),
        ("PRESENCE_AUTH__ISSUERS", r#"[{"audience":["school.example"],"key_files":["k.pem"]}]"#),
        ("PRESENCE_LOG__FORMAT", ""),
    ])
    .unwrap();
    assert_eq!(config.bus.replicas, 3);
    assert!(matches!(&config.bus.url, BusUrl::Nats(servers) if servers.len() == 2));
    assert_eq!(config.bus.password.as_ref().map(text::Secret::expose), Some("00123"));
    assert_eq!(config.bus.user.as_deref(), Some("17"));
    assert_eq!(config.public.live_page, Some(false));
    assert_eq!(config.public.trusted_proxies.len(), 2);
    assert_eq!(
        config.origin_policy(),
        OriginPolicy::Listed(vec!["https://a.example".into(), "https://b.example".into()])
    );
    assert_eq!(config.auth.issuers[0].audience[0].as_str(), "school.example");
    assert_eq!(config.auth.authz.mode, auth::AuthzMode::Allow);
}

/// Variable, value, and all that is said about it.
const WRONG: [(&str, &str, &str); 10] = [
    (
        "PRESENCE_STORE__MAX_CONNECTIONS",
        "eight",
        "store.max_connections = \"eight\" (from PRESENCE_STORE__MAX_CONNECTIONS): not a whole number; for example \
             PRESENCE_STORE__MAX_CONNECTIONS=10",
    ),
    (
        "PRESENCE_STORE__MAX_CONNECTIONS",
        "1",
        "store.max_connections = 1 (from PRESENCE_STORE__MAX_CONNECTIONS): not between 2 and 1000; for example \
             PRESENCE_STORE__MAX_CONNECTIONS=10",
    ),
    (
        "PRESENCE_NATIVE__PING_INTERVAL",
        "30",
        "native.ping_interval = \"30\" (from PRESENCE_NATIVE__PING_INTERVAL): not a whole number with a unit: ms, \
             s, m, h or d; for example PRESENCE_NATIVE__PING_INTERVAL=30s",
    ),
    (
        "PRESENCE_PUBLIC__ADDR",
        "localhost",
        "public.addr = \"localhost\" (from PRESENCE_PUBLIC__ADDR): invalid socket address syntax; for example \
             PRESENCE_PUBLIC__ADDR=127.0.0.1:8080",
    ),
    (
        "PRESENCE_BUS__EVENT_BODY",
        "bare",
        "bus.event_body = \"bare\" (from PRESENCE_BUS__EVENT_BODY): unknown variant `bare`, expected `envelope` or \
             `payload`; for example PRESENCE_BUS__EVENT_BODY=envelope",
    ),
    (
        "PRESENCE_STORE__URL",
        "mysql://db/presence",
        "store.url = \"mysql://db/presence\" (from PRESENCE_STORE__URL): neither a postgres:// URL nor sqlite: \
             with a path; for example PRESENCE_STORE__URL=postgres://presence@db.example:5432/presence",
    ),
    (
        "PRESENCE_LOG__LEVEL",
        "a=b=c",
        "log.level = \"a=b=c\" (from PRESENCE_LOG__LEVEL): neither a level nor a list of module=level; for example \
             PRESENCE_LOG__LEVEL=info,presence=debug",
    ),
    (
        "PRESENCE_STORE",
        "x",
        "store = … (from PRESENCE_STORE): this is a section; its keys are set one by one, with `__` between \
             section and key; for example PRESENCE_STORE__MAX_CONNECTIONS=10",
    ),
    (
        "PRESENCE_SESSION__LEASE_RENEW",
        "5s",
        "session.lease_renew = \"5s\" (from PRESENCE_SESSION__LEASE_RENEW): not less than half of \
             session.lease_ttl, which is 10s; for example PRESENCE_SESSION__LEASE_RENEW=3s",
    ),
    (
        "PRESENCE_INTERNAL__ADDR",
        "0.0.0.0:8081",
        "internal.secret: required, because internal.addr is reachable from other machines; for example \
             PRESENCE_INTERNAL__SECRET=32 or more random characters",
    ),
];

#[test]
fn a_wrong_value_is_named_with_its_key_and_an_example() {
    for (name, value, expected) in WRONG {
        assert_eq!(problems(load(&[(name, value)])), [expected], "{name}");
    }
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    assert_eq!(
        problems(load(&[("PRESENCE_LOG__LEVLE", "debug")])),
        [
            "log.levle = \"debug\" (from PRESENCE_LOG__LEVLE): there is no such key; the nearest is log.level; for \
          example PRESENCE_LOG__LEVEL=info,presence=debug"
        ]
    );
    assert_eq!(
        problems(load(&[("PRESENCE_NOPE__X", "1")])),
        [
            "nope.x = \"1\" (from PRESENCE_NOPE__X): there is no such key; `presence config-schema` describes them all; \
          for example PRESENCE_PUBLIC__ADDR=127.0.0.1:8080"
        ]
    );
    assert_eq!(
        problems(load(&[("PRESENCE_STORE_URL", "sqlite:a")])),
        [
            "store_url = … (from PRESENCE_STORE_URL): there is no such key; the nearest is store.url; for example \
          PRESENCE_STORE__URL=postgres://presence@db.example:5432/presence"
        ]
    );
    let file = file("native:\n  ping: 3s\n");
    let wrong = problems(Config::load(Some(file.path()), &Environment::default()));
    assert!(wrong[0].starts_with("native.ping = \"3s\" (from "), "{wrong:?}");
    assert!(wrong[0].ends_with("for example native.ping_interval: 30s"), "{wrong:?}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let wrong = problems(load(&[
        ("PRESENCE_PUBLIC__ADDR", "x"),
        ("PRESENCE_BUS__URL", "y"),
        ("PRESENCE_NATIVE__MAX_MESSAGE", "1"),
        ("PRESENCE_NOPE", "1"),
        ("PRESENCE_AUTH__ISSUERS", r#"[{"audience":["a b"]},{"key_files":[]}]"#),
    ]));
    let keys: Vec<_> = wrong.iter().map(|line| line.split([' ', ':']).next().unwrap()).collect();
    assert_eq!(keys, ["nope", "native.max_message", "auth.issuers[0].audience[0]", "bus.url", "public.addr"]);
}

#[test]
fn no_error_tells_a_secret() {
    const CANARY: &str = "hunter2";
    let yaml = file(&format!("store:\n  password: [{CANARY}, 1]\n  pasword: {CANARY}\nbus: {CANARY}\n"));
    let broken = file(&format!("store:\n  password: '{CANARY}\n bus: {{"));
    let secret = file(CANARY);
    let path = secret.path().to_str().unwrap();
    let url = format!("postgres://u:{CANARY}@h/d");
    let results = vec![
        Config::load(Some(yaml.path()), &Environment::default()),
        Config::load(Some(broken.path()), &Environment::default()),
        load(&[("PRESENCE_STORE_URL", &url)]),
        load(&[("PRESENCE_STORE", &url)]),
        load(&[("PRESENCE_STORE__URL", CANARY)]),
        load(&[("PRESENCE_STORE__URL", &format!("mysql://u:{CANARY}@h/d"))]),
        load(&[("PRESENCE_STORE__URL_FILE", path)]),
        load(&[("PRESENCE_STORE__URL", &url), ("PRESENCE_STORE__PASSWORD", CANARY)]),
        load(&[("PRESENCE_STORE__PASSWORD", CANARY)]),
        load(&[("PRESENCE_BUS__URL", &format!("http://u:{CANARY}@h"))]),
        load(&[("PRESENCE_BUS__PASSWORD", CANARY)]),
        load(&[("PRESENCE_BUS__PASWORD", CANARY)]),
        load(&[("PRESENCE_INTERNAL__SECRET", CANARY)]),
        load(&[("PRESENCE_INTERNAL__SECRET_FILE", path)]),
    ];
    for result in results {
        let error = result.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
    }
    let good = load(&[("PRESENCE_STORE__URL", &url), ("PRESENCE_BUS__TOKEN", CANARY)]).unwrap();
    assert!(!format!("{good:?} {}", serde_json::to_string(&good).unwrap()).contains(CANARY));
}

#[test]
fn secrets_come_from_files() {
    let password = file("p@ss w/rd\n");
    let token = file("a-long-enough-secret\r\n");
    let config = load(&[
        ("PRESENCE_STORE__URL", "postgres://u@h:5432/d"),
        ("PRESENCE_STORE__PASSWORD_FILE", password.path().to_str().unwrap()),
        ("PRESENCE_INTERNAL__SECRET_FILE", token.path().to_str().unwrap()),
    ])
    .unwrap();
    let StoreUrl::Postgres(url) = config.store_url() else { panic!("{config:?}") };
    assert_eq!(url.expose(), "postgres://u:p%40ss%20w%2Frd@h:5432/d");
    assert_eq!(config.internal.secret.unwrap().expose(), "a-long-enough-secret");
    let missing = problems(load(&[("PRESENCE_BUS__TOKEN_FILE", "/nowhere/at/all")]));
    assert!(missing[0].contains("bus.token_file = \"/nowhere/at/all\""), "{missing:?}");
    assert!(missing[0].contains("cannot be read"), "{missing:?}");
}

#[test]
fn a_file_that_is_no_settings_is_named() {
    for text in ["- a\n", "just text", "store: {", "store:\n  url: a\nstore: 1\n", "a: &x [*x]"] {
        let file = file(text);
        let wrong = problems(Config::load(Some(file.path()), &Environment::default()));
        assert!(wrong[0].contains(&file.path().display().to_string()), "{text}: {wrong:?}");
    }
    let absent = problems(Config::load(Some(Path::new("/nowhere.yaml")), &Environment::default()));
    assert_eq!(absent, ["/nowhere.yaml: cannot be read: entity not found"]);
}

#[test]
fn what_is_printed_is_accepted_again() {
    let config = load(&[("PRESENCE_NATIVE__PING_INTERVAL", "90500ms")]).unwrap();
    let printed = file(&serde_json::to_string(&config).unwrap());
    assert_eq!(Config::load(Some(printed.path()), &Environment::default()).unwrap(), config);
}
