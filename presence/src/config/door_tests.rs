//! What the settings of the Socket.IO door do: `socketio`, `redis`, `analytics`.

use super::{
    socketio::IdentitySource,
    tests::{file, load, problems},
    text::{Period, Secret},
};

#[test]
fn nothing_set_is_one_replica_without_redis_and_analytics() {
    let config = load(&[]).unwrap();
    assert!(config.has_socketio());
    assert_eq!(config.socketio.identity, IdentitySource::Token);
    assert_eq!((config.redis.url, config.analytics.url), (None, None));
}

#[test]
fn the_door_is_open_where_a_room_is_one_or_where_it_is_said() {
    let redis = ("PRESENCE_REDIS__URL", "redis://redis.example");
    let postgres = ("PRESENCE_STORE__URL", "postgres://presence@db.example/presence");
    let nats = ("PRESENCE_BUS__URL", "nats://nats.example");
    let said = |word| ("PRESENCE_SOCKETIO__ENABLED", word);
    for (settings, open) in [
        (vec![], true),
        (vec![postgres], false),
        (vec![nats], false),
        (vec![postgres, nats], false),
        (vec![postgres, nats, redis], true),
        (vec![postgres, nats, said("true")], true),
        (vec![redis, said("false")], false),
    ] {
        assert_eq!(load(&settings).unwrap().has_socketio(), open, "{settings:?}");
    }
}

#[test]
fn each_key_reads_what_it_takes() {
    let config = load(&[
        ("PRESENCE_SOCKETIO__IDENTITY", "query"),
        ("PRESENCE_SOCKETIO__PING_INTERVAL", "1m"),
        ("PRESENCE_SOCKETIO__MAX_PAYLOAD_BEFORE_AUTH", "8192"),
        ("PRESENCE_SOCKETIO__SEATS", "30"),
        ("PRESENCE_REDIS__URL", "rediss://presence:s%3D3cret@redis.example:6380/2"),
        ("PRESENCE_REDIS__KEY_PREFIX", "school:"),
        ("PRESENCE_REDIS__TLS_CA_FILE", "/etc/presence/redis-ca.pem"),
        ("PRESENCE_ANALYTICS__URL", "https://api-eu.mixpanel.com"),
        ("PRESENCE_ANALYTICS__TOKEN", "0123"),
        ("PRESENCE_ANALYTICS__PATIENCE", "0s"),
    ])
    .unwrap();
    assert_eq!(config.socketio.identity, IdentitySource::Query);
    assert_eq!(config.socketio.ping_interval, Period::secs(60));
    assert_eq!((config.socketio.max_payload_before_auth, config.socketio.seats), (8192, 30));
    let redis = config.redis.url.unwrap();
    assert_eq!(redis.expose(), "rediss://presence:s%3D3cret@redis.example:6380/2");
    assert_eq!(redis.to_string(), "rediss://redis.example:6380/2");
    assert_eq!(config.redis.key_prefix, "school:");
    assert_eq!(config.redis.tls_ca_file, Some("/etc/presence/redis-ca.pem".into()));
    assert_eq!(config.analytics.token.as_ref().map(Secret::expose), Some("0123"));
    assert_eq!(config.analytics.patience, Period::secs(0));
}

/// Settings, the key that is wrong, and why.
type Wrong = (&'static [(&'static str, &'static str)], &'static str, &'static str);

const MIXPANEL: (&str, &str) = ("PRESENCE_ANALYTICS__URL", "https://api.mixpanel.com");
const TOKEN: (&str, &str) = ("PRESENCE_ANALYTICS__TOKEN", "t0ken");
const REDIS: (&str, &str) = ("PRESENCE_REDIS__URL", "redis://u:p@redis.example");

const WRONG: [Wrong; 20] = [
    (&[("PRESENCE_SOCKETIO__ENABLED", "perhaps")], "socketio.enabled", "neither true nor false"),
    (&[("PRESENCE_SOCKETIO__IDENTITY", "cookie")], "socketio.identity", "expected `token` or `query`"),
    (&[("PRESENCE_SOCKETIO__PING_INTERVAL", "2h")], "socketio.ping_interval", "not between 200ms and 1h"),
    (&[("PRESENCE_SOCKETIO__PING_TIMEOUT", "25s")], "socketio.ping_timeout", "ping_interval, which is 25s"),
    (&[("PRESENCE_SOCKETIO__CONNECT_TIMEOUT", "2m")], "socketio.connect_timeout", "not between 100ms and 1m"),
    (&[("PRESENCE_SOCKETIO__UPGRADE_TIMEOUT", "0s")], "socketio.upgrade_timeout", "not between 100ms and 1m"),
    (&[("PRESENCE_SOCKETIO__MAX_PAYLOAD_BEFORE_AUTH", "65537")], "socketio.max_payload_before_auth", "65536"),
    (
        &[("PRESENCE_SOCKETIO__MAX_PAYLOAD", "20000")],
        "socketio.max_payload_before_auth",
        "larger than socketio.max_payload",
    ),
    (&[("PRESENCE_SOCKETIO__MAX_PACKETS", "0")], "socketio.max_packets", "not between 1 and 1024"),
    (&[("PRESENCE_SOCKETIO__SEATS", "1001")], "socketio.seats", "not between 1 and 1000"),
    (&[("PRESENCE_SOCKETIO__MAX_POLLING", "0")], "socketio.max_polling", "not between 1 and 1000000"),
    (&[("PRESENCE_REDIS__URL", "redis.example:6379")], "redis.url", "not a redis:// or rediss:// URL"),
    (&[REDIS, ("PRESENCE_REDIS__PASSWORD", "q")], "redis.password", "given together with a password in"),
    (&[("PRESENCE_REDIS__PASSWORD", "q")], "redis.password", "there is no redis.url"),
    (&[REDIS, ("PRESENCE_REDIS__KEY_PREFIX", "a b")], "redis.key_prefix", "not printable ASCII"),
    (&[MIXPANEL], "analytics.token", "missing"),
    (&[TOKEN], "analytics.url", "missing"),
    (
        &[TOKEN, ("PRESENCE_ANALYTICS__URL", "http://mixpanel.example")],
        "analytics.url",
        "allow_http is not set",
    ),
    (&[MIXPANEL, TOKEN, ("PRESENCE_ANALYTICS__QUEUE", "99")], "analytics.queue", "not between 100 and"),
    (&[MIXPANEL, TOKEN, ("PRESENCE_ANALYTICS__TIMEOUT", "2m")], "analytics.timeout", "between 100ms and 1m"),
];

#[test]
fn a_wrong_value_is_named_with_its_key_and_why() {
    for (settings, key, why) in WRONG {
        let said = problems(load(settings));
        assert_eq!(said.len(), 1, "{said:?}");
        let named = said[0].starts_with(&format!("{key} ")) || said[0].starts_with(&format!("{key}:"));
        assert!(named && said[0].contains(why) && said[0].contains("for example"), "{key}: {said:?}");
    }
}

#[test]
fn plain_http_is_for_this_machine_or_where_it_is_said() {
    let elsewhere = ("PRESENCE_ANALYTICS__URL", "http://mixpanel.example");
    assert!(load(&[TOKEN, ("PRESENCE_ANALYTICS__URL", "http://127.0.0.1:9")]).is_ok());
    assert!(load(&[TOKEN, elsewhere, ("PRESENCE_ANALYTICS__ALLOW_HTTP", "true")]).is_ok());
}

#[test]
fn the_doors_secrets_come_from_files() {
    let [url, password, token, empty] =
        ["rediss://u@redis.example/1\n", "p@ss w/rd\n", "t0ken\r\n", "\n"].map(file);
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    let (url, password, token, empty) = (path(&url), path(&password), path(&token), path(&empty));
    let config = load(&[
        ("PRESENCE_REDIS__URL_FILE", &url),
        ("PRESENCE_REDIS__PASSWORD_FILE", &password),
        MIXPANEL,
        ("PRESENCE_ANALYTICS__TOKEN_FILE", &token),
    ])
    .unwrap();
    assert_eq!(config.redis.url.unwrap().expose(), "rediss://u:p%40ss%20w%2Frd@redis.example/1");
    assert_eq!(config.analytics.token.unwrap().expose(), "t0ken");
    for (settings, key, why) in [
        ([REDIS, ("PRESENCE_REDIS__URL_FILE", &*url)], "redis.url", "given together with redis.url_file"),
        ([REDIS, ("PRESENCE_REDIS__URL_FILE", &token)], "redis.url", "given together with redis.url_file"),
        ([REDIS, ("PRESENCE_REDIS__PASSWORD_FILE", &password)], "redis.password", "a password in redis.url"),
        ([REDIS, ("PRESENCE_REDIS__PASSWORD_FILE", &empty)], "redis.password_file", "the file is empty"),
        ([MIXPANEL, ("PRESENCE_ANALYTICS__TOKEN_FILE", &empty)], "analytics.token_file", "the file is empty"),
        (
            [MIXPANEL, ("PRESENCE_ANALYTICS__TOKEN_FILE", "/nowhere")],
            "analytics.token_file",
            "cannot be read",
        ),
    ] {
        let said = problems(load(&settings));
        assert!(said[0].starts_with(key) && said[0].contains(why), "{key}: {said:?}");
    }
}

#[test]
fn the_door_tells_no_secret() {
    const CANARY: &str = "hunter2";
    let url = format!("redis://u:{CANARY}@redis.example");
    let bad = format!("http://u:{CANARY}@redis.example");
    let canary = file(CANARY);
    let path = canary.path().to_str().unwrap();
    for settings in [
        vec![("PRESENCE_REDIS__URL", CANARY)],
        vec![("PRESENCE_REDIS__URL", &bad)],
        vec![("PRESENCE_REDIS__URL_FILE", path)],
        vec![("PRESENCE_REDIS", &url)],
        vec![("PRESENCE_REDIS_URL", &url)],
        vec![("PRESENCE_REDIS__URL", &url), ("PRESENCE_REDIS__PASSWORD", CANARY)],
        vec![("PRESENCE_REDIS__PASWORD", CANARY)],
        vec![("PRESENCE_ANALYTICS__TOKEN", CANARY)],
        vec![("PRESENCE_ANALYTICS__TOKN", CANARY)],
        vec![("PRESENCE_ANALYTICS__TOKEN", CANARY), ("PRESENCE_ANALYTICS__TOKEN_FILE", path)],
    ] {
        let error = load(&settings).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
    }
    let good =
        load(&[("PRESENCE_REDIS__URL", &url), MIXPANEL, ("PRESENCE_ANALYTICS__TOKEN", CANARY)]).unwrap();
    assert!(!format!("{good:?} {}", serde_json::to_string(&good).unwrap()).contains(CANARY));
}
