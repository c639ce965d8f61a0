//! A scenario's own namespace and what it stands on, and what may be done in it.

use super::{Kind, Kube, condition, name_of, objects::path};
use crate::{
    Database, Lesson, Server, environment,
    log::Log,
    tokens::{AUDIENCE, Tokens},
};
use anyhow::{Context, Result, ensure};
use jsonwebtoken::jwk::JwkSet;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Scenarios share the cluster, but for those that take nodes away.
static CLUSTER: RwLock<()> = RwLock::const_new(());

#[derive(Debug)]
enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// The Secret with everything that a spec names.
pub const SECRET: &str = "school";

#[derive(Debug)]
pub struct Place {
    pub kube: Kube,
    pub namespace: String,
    /// What tells this place's names from those of others.
    pub id: String,
    pub tokens: Arc<Tokens>,
    pub database: Database,
    folder: tempfile::TempDir,
    _turn: Turn,
}

impl Place {
    /// A namespace under Pod Security `restricted`, with a Secret that holds all that a spec may name.
    pub async fn new(name: &str) -> Result<Self> {
        Self::within(name, Turn::Shared { _guard: CLUSTER.read().await }).await
    }

    /// The same while nobody else has one.
    pub async fn alone(name: &str) -> Result<Self> {
        Self::within(name, Turn::Alone { _guard: CLUSTER.write().await }).await
    }

    async fn within(name: &str, turn: Turn) -> Result<Self> {
        let kube = Kube::new().await?;
        kube.ensure_crd().await?;
        let id = uuid::Uuid::new_v4().simple().to_string()[..6].to_owned();
        let namespace = format!("{name}-{id}");
        let level = ["enforce", "warn", "audit"];
        let level = level.map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted"));
        // Those of scenarios that failed stay, and are found by this.
        let mark = ("presence-tests".to_owned(), "scenario");
        let labels: BTreeMap<_, _> = level.into_iter().chain([mark]).collect();
        let made = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": labels },
        });
        let namespaces: Api<DynamicObject> = Api::all_with(kube.client.clone(), &namespaces());
        namespaces.create(&PostParams::default(), &serde_json::from_value(made)?).await?;
        let folder = tempfile::tempdir().context("make a folder")?;
        let tokens = Arc::new(Tokens::new(folder.path()));
        let database = Database::create(&format!("presence_{id}"))?;
        let place = Self { kube, namespace, id, tokens, database, folder, _turn: turn };
        place.put_secret(SECRET, &place.secrets()?).await?;
        Ok(place)
    }

    /// What the Secret of this place holds.
    pub fn secrets(&self) -> Result<BTreeMap<String, String>> {
        let keys = self.public_keys()?;
        let redis = environment::redis()?;
        let entries = [
            ("database-url", self.database.url().to_string()),
            ("redis-url", redis.to_string()),
            ("jwks.json", serde_json::to_string(&keys)?),
        ];
        Ok(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// The public half of the key that `tokens` signs with.
    fn public_keys(&self) -> Result<JwkSet> {
        // The key is made with the first token.
        let token = self.tokens.of("nobody")?;
        let id = jsonwebtoken::decode_header(&token).context("read a token's header")?.kid;
        let pem = std::fs::read(self.folder.path().join("token-key.pem")).context("read the signing key")?;
        let key = jsonwebtoken::EncodingKey::from_ec_pem(&pem).context("understand the signing key")?;
        let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256)
            .context("take the public half of the signing key")?;
        jwk.common.key_id = id;
        Ok(JwkSet { keys: vec![jwk] })
    }

    /// `examples/smallest.yaml` with what this place has, and with Redis, so that both doors are open.
    pub fn smallest(&self, name: &str) -> Result<Value> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/smallest.yaml");
        let text = std::fs::read_to_string(file).context("read the smallest example")?;
        let mut example: Value = serde_saphyr::from_str(&text).context("understand the smallest example")?;
        example["metadata"]["name"] = name.into();
        let ours = self.cluster(name, 3)?;
        for key in ["image", "database", "nats", "redis", "auth"] {
            example["spec"][key] = ours["spec"][key].clone();
        }
        // Of the few cores that all scenarios share.
        example["spec"]["pod"] = ours["spec"]["pod"].clone();
        Ok(example)
    }

    /// A `PresenceCluster` that this place can serve: both doors, and nothing that need not be said.
    pub fn cluster(&self, name: &str, replicas: u32) -> Result<Value> {
        let image = environment::image()?;
        let (repository, tag) = image.rsplit_once(':').context("an image has a tag")?;
        let key = |key: &str| json!({ "name": SECRET, "key": key });
        Ok(json!({
            "apiVersion": "presence.rs/v1alpha1",
            "kind": "PresenceCluster",
            "metadata": { "name": name },
            "spec": {
                "replicas": replicas,
                "image": { "repository": repository, "tag": tag },
                "database": { "urlSecret": key("database-url"), "maxConnections": 4 },
                "nats": { "urls": [environment::nats()?.as_str().trim_end_matches('/')] },
                "redis": { "urlSecret": key("redis-url"), "keyPrefix": format!("{}:", self.id) },
                "auth": { "issuers": [{ "audiences": [AUDIENCE], "keySecret": key("jwks.json") }] },
                // Load balancers have nothing to learn here.
                "drain": { "preStop": "1s", "deadline": "20s" },
                "pod": { "resources": {
                    "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "256Mi" },
                } },
            },
        }))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The clients' side of a Service, or of a pod.
    pub fn server(&self, at: SocketAddr) -> Result<Server> {
        let at = at.to_string();
        let listening = json!({ "public": at, "internal": at, "metrics": at });
        Server::new(&listening, Log::at(&self.folder.path().join("nowhere.log")), self.tokens.clone(), 0)
    }

    /// Where the public Service of a cluster is, as it is seen from outside of the pods.
    pub async fn door(&self, cluster: &str) -> Result<SocketAddr> {
        let service = self.get(Kind::Service, cluster).await?;
        let address = path(&service, "/spec/clusterIP")?.as_str().context("an address is text")?;
        Ok(SocketAddr::new(address.parse().context("a Service has an address")?, 80))
    }

    /// A stream takes an event once per session id, and the tests' databases share a stream: their ids must not meet.
    /// To be called once there is a schema, and before anybody enters.
    pub fn begin_sessions_apart(&self) -> Result<()> {
        let first = (uuid::Uuid::new_v4().as_u128() & ((1 << 45) - 1)) + 1;
        let restart = format!("ALTER SEQUENCE agent_session_id_seq RESTART WITH {first}");
        self.database.query(&restart).map(drop)
    }

    /// Whose lessons this place's are.
    pub fn org(&self) -> String {
        format!("org-{}", self.id)
    }

    /// A lesson, as the classroom's backend writes it down: without it no app is let in.
    pub fn open_lesson(&self, id: &str) -> Result<()> {
        self.database.add_lesson(Lesson { id, org: &self.org(), room: Some("r1") })
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.kube.client.clone(), &self.namespace, &kind.resource())
    }

    pub async fn get(&self, kind: Kind, name: &str) -> Result<DynamicObject> {
        self.api(kind).get(name).await.with_context(|| format!("get {kind:?} {name}"))
    }

    pub async fn find(&self, kind: Kind, name: &str) -> Result<Option<DynamicObject>> {
        self.api(kind).get_opt(name).await.with_context(|| format!("get {kind:?} {name}"))
    }

    /// All of a kind here that have these labels, by name.
    pub async fn list(&self, kind: Kind, labels: &str) -> Result<Vec<DynamicObject>> {
        let list = self.api(kind).list(&ListParams::default().labels(labels)).await;
        let mut found = list.with_context(|| format!("list {kind:?}"))?.items;
        found.sort_by_key(ResourceExt::name_any);
        Ok(found)
    }

    /// Server-side apply, as kubectl would; unknown fields are refused.
    pub async fn apply(&self, object: &Value) -> Result<DynamicObject> {
        let kind = kind_of(object)?;
        let name = object["metadata"]["name"].as_str().context("an object has a name")?;
        let params = PatchParams::apply("presence-tests").force();
        let params = PatchParams { field_validation: Some(kube::api::ValidationDirective::Strict), ..params };
        let applied = self.api(kind).patch(name, &params, &Patch::Apply(object)).await;
        applied.with_context(|| format!("apply {kind:?} {name}"))
    }

    /// A JSON merge patch.
    pub async fn merge(&self, kind: Kind, name: &str, patch: &Value) -> Result<DynamicObject> {
        let merged = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        merged.with_context(|| format!("change {kind:?} {name}"))
    }

    pub async fn delete(&self, kind: Kind, name: &str) -> Result<()> {
        self.api(kind)
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("delete {name}"))?;
        Ok(())
    }

    pub async fn put_secret(&self, name: &str, entries: &BTreeMap<String, String>) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": entries,
        });
        // Not applied: what is not said any more is to go.
        if self.find(Kind::Secret, name).await?.is_some() {
            self.delete(Kind::Secret, name).await?;
        }
        self.api(Kind::Secret).create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        Ok(())
    }

    /// Waits until a condition is so, and returns its message.
    pub async fn expect(&self, cluster: &str, of_type: &str, status: &str, reason: &str) -> Result<String> {
        let what = format!("{cluster} to be {of_type}={status} ({reason})");
        self.kube
            .eventually(&what, async || {
                let seen = self.get(Kind::PresenceCluster, cluster).await?;
                let found = condition(&seen, of_type)?;
                ensure!((found.0, found.1) == (status, reason), "{of_type} is {found:?}");
                Ok(found.2.to_owned())
            })
            .await
    }

    /// Waits until the whole spec, as it is now, is served and nothing is under way.
    pub async fn expect_settled(&self, cluster: &str) -> Result<DynamicObject> {
        self.kube
            .eventually(&format!("{cluster} to be ready and settled"), async || {
                let seen = self.get(Kind::PresenceCluster, cluster).await?;
                let generation = path(&seen, "/status/observedGeneration")?.as_i64();
                ensure!(generation == seen.metadata.generation, "{generation:?} was looked at");
                for (of_type, status) in [("Ready", "True"), ("Progressing", "False"), ("Degraded", "False")]
                {
                    let found = condition(&seen, of_type)?;
                    ensure!(found.0 == status, "{of_type} is {found:?}");
                }
                Ok(seen)
            })
            .await
    }

    /// Name and uid of each pod that serves: what nobody may restart.
    pub async fn pods(&self, cluster: &str) -> Result<Vec<(String, String)>> {
        let labels = format!("app.kubernetes.io/instance={cluster},app.kubernetes.io/component=server");
        let pods = self.list(Kind::Pod, &labels).await?;
        let pods = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods.map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect())
    }

    /// What is there, for the one who reads why a test failed.
    pub async fn state(&self) -> String {
        let mut state = String::new();
        for args in [
            vec!["get", "presence,deploy,job,pod,svc,events", "-o", "wide"],
            vec![
                "get",
                "presence",
                "-o",
                "jsonpath={range .items[*]}{.metadata.name}{' '}{.status}{'\\n'}{end}",
            ],
            vec!["logs", "-l", "app.kubernetes.io/name=presence-operator", "--tail=40"],
            vec!["logs", "-l", "app.kubernetes.io/name=presence", "--tail=15", "--prefix"],
        ] {
            let args = [&["-n", &self.namespace], &*args].concat();
            let said = self.kube.kubectl(&args).await.unwrap_or_else(|error| format!("{error:#}"));
            state += &["--- kubectl ", &args.join(" "), "\n", &said, "\n"].concat();
        }
        state
    }

    /// Takes the namespace away, and all that is in it. Nobody waits for it.
    pub async fn leave(self) -> Result<()> {
        let namespaces: Api<DynamicObject> = Api::all_with(self.kube.client.clone(), &namespaces());
        let background = DeleteParams::background();
        namespaces.delete(&self.namespace, &background).await.context("delete the namespace")?;
        Ok(())
    }
}

fn namespaces() -> kube::core::ApiResource {
    kube::core::ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("", "v1", "Namespace"),
        "namespaces",
    )
}

fn kind_of(object: &Value) -> Result<Kind> {
    let kinds = Kind::OWNED.into_iter().chain([Kind::PresenceCluster, Kind::Pod]);
    let said = object["kind"].as_str().context("an object has a kind")?;
    kinds
        .into_iter()
        .find(|kind| format!("{kind:?}") == said)
        .with_context(|| format!("a test knows no {said}"))
}

/// Names of objects, for messages.
pub fn names(objects: &[DynamicObject]) -> Vec<&str> {
    objects.iter().map(name_of).collect()
}
