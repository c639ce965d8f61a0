//! Settings: the environment over a YAML file over defaults, typed, checked, and explained when they are wrong.
//!
//! One file per section holds its keys, their defaults, their descriptions and the checks that need more than one
//! key. `schema` reads the rest back from the types; `docs/config.schema.json` is that document.

pub mod analytics;
pub mod auth;
pub mod bus;
#[cfg(test)]
mod door_tests;
mod environment;
pub mod internal;
pub mod log;
pub mod metrics;
pub mod native;
mod problem;
pub mod public;
pub mod redis;
pub mod replica;
mod report;
mod schema;
pub mod session;
pub mod socketio;
pub mod store;
pub mod telemetry;
#[cfg(test)]
mod tests;
pub mod text;

pub use environment::Environment;
pub use problem::{Error, From, Problem};
pub use schema::document as json_schema;

use public::{Origin, OriginPolicy};
use report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use store::StoreUrl;

/// Everything that can be set. Printing it shows no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server keeps what it makes for itself: the SQLite store, the embedded key.
    pub data_dir: PathBuf,
    pub public: public::Public,
    pub internal: internal::Internal,
    pub metrics: metrics::Metrics,
    pub store: store::Store,
    pub bus: bus::Bus,
    pub auth: auth::Auth,
    pub native: native::Native,
    pub socketio: socketio::SocketIo,
    pub redis: redis::Redis,
    pub analytics: analytics::Analytics,
    pub session: session::Session,
    pub log: log::Log,
    pub telemetry: telemetry::Telemetry,
    pub replica: replica::Replica,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            public: public::Public::default(),
            internal: internal::Internal::default(),
            metrics: metrics::Metrics::default(),
            store: store::Store::default(),
            bus: bus::Bus::default(),
            auth: auth::Auth::default(),
            native: native::Native::default(),
            socketio: socketio::SocketIo::default(),
            redis: redis::Redis::default(),
            analytics: analytics::Analytics::default(),
            session: session::Session::default(),
            log: log::Log::default(),
            telemetry: telemetry::Telemetry::default(),
            replica: replica::Replica::default(),
        }
    }
}

impl Config {
    /// Reads the settings. All that is wrong is reported at once.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, Error> {
        let mut report = Report { tree: Value::Object(Map::new()), ..Report::default() };
        if let Some(path) = file {
            read_file(path, &mut report);
        }
        environment::overlay(environment, &mut report);
        report.audit();
        let mut config = typed(&mut report);
        if report.problems.is_empty() {
            config.resolve(environment, &mut report);
            config.check(&mut report);
        }
        if report.problems.is_empty() { Ok(config) } else { Err(Error(report.problems)) }
    }

    pub fn store_url(&self) -> StoreUrl {
        self.store.url_or_file_in(&self.data_dir)
    }

    /// Whether `/` is the live page.
    pub fn has_live_page(&self) -> bool {
        self.public.live_page.unwrap_or_else(|| self.auth.is_embedded())
    }

    /// Whether the Socket.IO door is open.
    pub fn has_socketio(&self) -> bool {
        let alone = matches!(self.store_url(), StoreUrl::Sqlite(_)) && self.bus.url == bus::BusUrl::InProcess;
        self.socketio.enabled.unwrap_or(self.redis.url.is_some() || alone)
    }

    /// Which pages may use the service from a browser.
    pub fn origin_policy(&self) -> OriginPolicy {
        let exact = |origin: &Origin| match origin {
            Origin::Exact(origin) => Some(origin.clone()),
            Origin::Any => None,
        };
        if self.public.origins.contains(&Origin::Any) {
            OriginPolicy::Any
        } else if !self.public.origins.is_empty() {
            OriginPolicy::Listed(self.public.origins.iter().filter_map(exact).collect())
        } else if self.auth.is_embedded() && self.public.addr.ip().is_loopback() {
            OriginPolicy::Any
        } else {
            OriginPolicy::SameHost
        }
    }

    /// Reads secrets from their files, and fills in what depends on other keys.
    fn resolve(&mut self, environment: &Environment, report: &mut Report) {
        self.store.resolve(report);
        self.bus.resolve(report);
        self.redis.resolve(report);
        self.analytics.resolve(report);
        self.internal.resolve(report);
        self.replica.resolve(environment.get("HOSTNAME"), self.internal.addr);
    }

    /// The rules that types and ranges cannot say.
    fn check(&self, report: &mut Report) {
        let Self {
            data_dir,
            public,
            internal,
            metrics,
            store: _,
            bus,
            auth,
            native,
            socketio,
            redis,
            analytics,
            session,
            log,
            telemetry: _,
            replica,
        } = self;
        if data_dir.as_os_str().is_empty() {
            report.bad("data_dir", "empty");
        }
        public.check(report);
        internal.check(report);
        bus.check(report);
        auth.check(report);
        native.check(report);
        socketio.check(report);
        redis.check(report);
        analytics.check(report);
        session.check(report);
        log.check(report);
        replica.check(report);
        let taken = |addr: std::net::SocketAddr, by: std::net::SocketAddr| addr == by && addr.port() != 0;
        if taken(internal.addr, public.addr) {
            report.bad("internal.addr", "the same as public.addr");
        }
        if taken(metrics.addr, public.addr) || taken(metrics.addr, internal.addr) {
            report.bad("metrics.addr", "the same as another port's");
        }
    }
}

/// A settings file is longer than this only by mistake.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

fn read_file(path: &Path, report: &mut Report) {
    let name = path.display().to_string();
    report.sources.file = Some(name.clone());
    let wrong = |why: String| Problem {
        key: name.clone(),
        value: None,
        from: From::File(name.clone()),
        why,
        example: None,
    };
    let text = match std::fs::metadata(path) {
        Ok(file) if file.len() > MAX_FILE_BYTES => Err("larger than 1 MiB".to_owned()),
        Ok(_) => std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {}", error.kind())),
        Err(error) => Err(format!("cannot be read: {}", error.kind())),
    };
    let tree = text.and_then(|text| match serde_saphyr::from_str::<Option<Value>>(&text) {
        Ok(tree) => Ok(tree.unwrap_or_default()),
        // The place alone: the error's own text quotes the line, and that may hold a secret.
        Err(error) => Err(match error.location() {
            Some(at) => format!("not YAML, or a key twice, at line {} column {}", at.line(), at.column()),
            None => "not YAML".to_owned(),
        }),
    });
    match tree.map(without_nulls) {
        Ok(Value::Object(tree)) => report.tree = Value::Object(tree),
        Ok(Value::Null) => {}
        Ok(_) => report.problems.push(wrong("not a mapping of sections".to_owned())),
        Err(why) => report.problems.push(wrong(why)),
    }
}

/// A key with nothing after it is as if it were not there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(entries) => entries
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Types the tree. A value that its type refuses is reported, taken out, and the rest looked at again.
fn typed(report: &mut Report) -> Config {
    let mut tree = report.tree.clone();
    for problem in &report.problems {
        report::remove(&mut tree, &problem.key);
    }
    loop {
        let error = match serde_path_to_error::deserialize::<_, Config>(&tree) {
            Ok(config) => return config,
            Err(error) => error,
        };
        let key = error.path().to_string();
        let is_secret = schema::Shape::at(&key).is_none_or(schema::Shape::is_secret);
        // Our own grammars never quote the text; serde's own messages do.
        let why = error.into_inner().to_string();
        let quotes = ["invalid type", "invalid value", "unknown variant", "unknown field"];
        let hides = is_secret && quotes.iter().any(|quote| why.starts_with(quote));
        let known = report.problems.iter().any(|problem| problem.key == key);
        if !known {
            report.bad(&key, if hides { "not what this key takes".to_owned() } else { why });
        }
        // Each turn makes the tree smaller; where it cannot be made smaller, the defaults stand in.
        if !report::remove(&mut tree, &key) && !remove_section(&mut tree, &key) {
            return Config::default();
        }
    }
}

/// Takes out the whole section that a key is in.
fn remove_section(tree: &mut Value, key: &str) -> bool {
    let section = key.split(['.', '[']).next().unwrap_or(key);
    report::remove(tree, section)
}
