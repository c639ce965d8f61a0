//! What a spec refers to and is not as it must be: each ends in its condition and an Event that name it, leaves the pods
//! that run alone, and mends as soon as it is put right.

use presence_tests::{
    Context, Result, ensure, environment,
    kube::{Kind, Place, Release, SECRET, condition, scenario},
};
use serde_json::{Value, json};

const NAME: &str = "school";

/// What is done to the place, and what puts it right.
enum Fault {
    /// The Secret holds this for the key, or has no such key.
    Key(&'static str, Option<&'static str>),
    NoSecret,
    /// A merge patch of the spec, and the one that takes it back.
    Spec(Value, Value),
    /// Something else has a name that the spec, changed so, asks for.
    Stranger(Value, Value, Value),
}

/// The condition's reason, and what its message must name.
struct Row(Fault, &'static str, &'static str);

/// The pods that serve are never replaced: nothing is even begun.
fn blocking() -> Vec<Row> {
    let ingress = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": NAME },
        "spec": { "defaultBackend": { "service": { "name": "theirs", "port": { "number": 80 } } } } });
    let route = json!({ "route": { "ingress": { "host": "school.example" } } });
    let pull = |name: &str| json!({ "image": { "pullSecrets": [name] } });
    let none = || json!({ "image": { "pullSecrets": null } });
    let nowhere = json!({ "redis": { "urlSecret": { "name": "elsewhere", "key": "url" } } });
    let back = json!({ "redis": { "urlSecret": { "name": SECRET, "key": "redis-url" } } });
    let issuer = |key: &str| {
        let ours = json!({ "audiences": [presence_tests::tokens::AUDIENCE], "keySecret": { "name": SECRET, "key": key } });
        json!({ "auth": { "issuers": [ours] } })
    };
    vec![
        Row(Fault::NoSecret, "SecretNotFound", SECRET),
        Row(Fault::Key("database-url", None), "SecretKeyNotFound", "database-url"),
        Row(Fault::Key("database-url", Some("no address")), "SecretInvalid", "spec.database.urlSecret"),
        Row(Fault::Key("redis-url", Some("postgres://a@b/c")), "SecretInvalid", "spec.redis.urlSecret"),
        Row(Fault::Key("jwks.json", Some("{}")), "SecretInvalid", "jwks.json"),
        Row(Fault::Spec(nowhere, back), "SecretNotFound", "elsewhere"),
        Row(Fault::Spec(issuer("nothing"), issuer("jwks.json")), "SecretKeyNotFound", "nothing"),
        Row(Fault::Spec(pull("elsewhere"), none()), "SecretNotFound", "spec.image.pullSecrets[0]"),
        Row(Fault::Spec(pull(SECRET), none()), "SecretInvalid", "kubernetes.io/dockerconfigjson"),
        Row(Fault::Stranger(ingress, route, json!({ "route": null })), "NameTaken", "Ingress school"),
    ]
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_is_changed_until_it_is_there() -> Result<()> {
    scenario("refs", async |place| {
        Release::install(place, &[]).await?;
        place.apply(&place.cluster(NAME, 1)?).await?;
        place.expect_settled(NAME).await?;
        let pods = place.pods(NAME).await?;
        for row in blocking() {
            degraded_and_mended(place, &row).await.with_context(|| format!("{} of {}", row.1, row.2))?;
            let now = place.pods(NAME).await?;
            ensure!(now == pods, "{} of {}: pods were {pods:?} and are {now:?}", row.1, row.2);
        }
        a_damaged_shared_secret_is_mended(place).await?;
        let now = place.pods(NAME).await?;
        ensure!(now == pods, "the shared secret: pods were {pods:?} and are {now:?}");
        one_to_pull_with_is_waited_for(place).await
    })
    .await
}

/// What no spec refers to, and pods mount all the same.
async fn a_damaged_shared_secret_is_mended(place: &Place) -> Result<()> {
    let name = &format!("{NAME}-internal");
    let whole = place.get(Kind::Secret, name).await?.data["data"].clone();
    let garbage = json!({ "secret": "Z2FyYmFnZQ==", "more": "" });
    for damage in [json!({ "accepted": null }), garbage] {
        place.merge(Kind::Secret, name, &json!({ "data": damage })).await?;
        look_again(place).await?;
        let what = format!("the shared secret to be mended of {damage}");
        place
            .kube
            .eventually(&what, async || {
                // Neither is shown: a failure is read by more people than a Secret.
                let now = place.get(Kind::Secret, name).await?;
                ensure!(now.data["data"] == whole, "it is not what it was");
                Ok(())
            })
            .await?;
        place.expect_settled(NAME).await?;
    }
    Ok(())
}

/// No pod is begun without it, and no kubelet has to try again later.
async fn one_to_pull_with_is_waited_for(place: &Place) -> Result<()> {
    let former = place.pods(NAME).await?;
    change(place, &json!({ "image": { "pullSecrets": ["registry"] } })).await?;
    place.expect(NAME, "Degraded", "True", "SecretNotFound").await?;
    ensure!(place.pods(NAME).await? == former, "a pod was begun that cannot be pulled");
    let (server, user) = ("--docker-server=registry.example", "--docker-username=somebody");
    let create = ["-n", &place.namespace, "create", "secret", "docker-registry", "registry", server, user];
    place.kube.kubectl(&[&create[..], &["--docker-password=something"]].concat()).await?;
    place.expect_settled(NAME).await?;
    let pods = place.list(Kind::Pod, "app.kubernetes.io/component=server").await?;
    let pulls = pods.iter().any(|pod| pod.data["spec"]["imagePullSecrets"][0]["name"] == "registry");
    ensure!(pulls, "no pod is told of it");
    Ok(())
}

/// A new revision that does not come up: the former one serves on.
fn failing() -> Result<Vec<Row>> {
    let image = environment::image()?;
    let (_, tag) = image.rsplit_once(':').context("an image has a tag")?;
    let of_tag = |tag: &str| json!({ "image": { "tag": tag } });
    let ours = environment::nats()?;
    let nats = |url: &str| json!({ "nats": { "urls": [url.trim_end_matches('/')] } });
    let on = |node: Value| json!({ "pod": { "nodeSelector": { "test/no-such-node": node } } });
    Ok(vec![
        Row(Fault::Spec(of_tag("none-such"), of_tag(tag)), "ImagePullFailed", "none-such"),
        // Nobody listens on a pod's own port 9.
        Row(
            Fault::Key("database-url", Some("postgres://nobody:wrong@127.0.0.1:9/none")),
            "MigrationFailed",
            "database",
        ),
        // Pods are ready without it, and yet it goes no further.
        Row(Fault::Spec(nats("nats://127.0.0.1:9"), nats(ours.as_str())), "BusAway", "spec.nats"),
        Row(Fault::Spec(on("yes".into()), on(Value::Null)), "PodsUnschedulable", "spec.pod"),
    ])
}

#[tokio::test]
async fn a_revision_that_does_not_come_up_says_why_and_the_former_one_serves_on() -> Result<()> {
    scenario("fails", async |place| {
        Release::install(place, &[]).await?;
        place.apply(&place.cluster(NAME, 1)?).await?;
        place.expect_settled(NAME).await?;
        let pods = place.pods(NAME).await?;
        for row in failing()? {
            degraded_and_mended(place, &row).await.with_context(|| format!("{} of {}", row.1, row.2))?;
            let now = place.pods(NAME).await?;
            ensure!(now == pods, "{} of {}: pods were {pods:?} and are {now:?}", row.1, row.2);
        }
        Ok(())
    })
    .await
}

/// A Service of somebody else keeps its name, and what it is.
#[tokio::test]
async fn a_name_that_is_taken_is_left_alone_and_waited_for() -> Result<()> {
    scenario("taken", async |place| {
        let theirs = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": NAME },
            "spec": { "ports": [{ "port": 4000 }], "selector": { "app": "theirs" } } });
        let before = place.apply(&theirs).await?;
        Release::install(place, &[]).await?;
        place.apply(&place.cluster(NAME, 1)?).await?;
        let message = place.expect(NAME, "Degraded", "True", "NameTaken").await?;
        ensure!(message.contains(NAME) && message.contains("Service"), "{message}");
        told(place, "NameTaken", NAME).await?;
        let after = place.get(Kind::Service, NAME).await?;
        ensure!(after == before, "it was changed: {before:?} {after:?}");
        ensure!(place.pods(NAME).await?.is_empty(), "something was begun");
        place.delete(Kind::Service, NAME).await?;
        place.expect_settled(NAME).await.map(drop)
    })
    .await
}

async fn degraded_and_mended(place: &Place, Row(fault, reason, named): &Row) -> Result<()> {
    let good = place.secrets()?;
    match fault {
        Fault::NoSecret => {
            place.delete(Kind::Secret, SECRET).await?;
            look_again(place).await?;
        }
        Fault::Key(key, value) => {
            let mut bad = good.clone();
            bad.remove(*key);
            bad.extend(value.map(|value| ((*key).to_owned(), value.to_owned())));
            place.put_secret(SECRET, &bad).await?;
            look_again(place).await?;
        }
        Fault::Spec(wrong, _) => change(place, wrong).await?,
        Fault::Stranger(object, wrong, _) => {
            place.apply(object).await?;
            change(place, wrong).await?;
        }
    }
    let message = place.expect(NAME, "Degraded", "True", reason).await?;
    ensure!(message.contains(named), "the message does not name {named}: {message}");
    if let Fault::Key(_, Some(value)) = fault {
        ensure!(!message.contains(value), "what is in a Secret is told: {message}");
    }
    told(place, reason, named).await?;
    let seen = place.get(Kind::PresenceCluster, NAME).await?;
    // The uids of the pods are compared later; one of the new revision may be ready beside the former one.
    let serving = seen.data["status"]["serving"].as_u64();
    ensure!(serving >= Some(1), "the former pod serves no more: {:?}", seen.data["status"]);
    ensure!(condition(&seen, "Progressing").is_ok(), "no condition Progressing");
    match fault {
        Fault::NoSecret | Fault::Key(..) => place.put_secret(SECRET, &good).await?,
        Fault::Spec(_, right) => change(place, right).await?,
        Fault::Stranger(object, _, right) => {
            let name = object["metadata"]["name"].as_str().context("it has a name")?;
            place.delete(Kind::Ingress, name).await?;
            // What was asked for is there now, and goes again.
            place.expect_settled(NAME).await?;
            change(place, right).await?;
        }
    }
    place.expect_settled(NAME).await.map(drop)
}

/// Secrets are not watched: where nothing is wrong, they are read every few minutes, or when the spec changes.
async fn look_again(place: &Place) -> Result<()> {
    let mark = uuid::Uuid::new_v4().to_string();
    change(place, &json!({ "service": { "annotations": { "test/mark": mark } } })).await
}

async fn change(place: &Place, spec: &Value) -> Result<()> {
    place.merge(Kind::PresenceCluster, NAME, &json!({ "spec": spec })).await.map(drop)
}

/// There is an Event with this reason, and it names what it is about.
pub(super) async fn told(place: &Place, reason: &str, named: &str) -> Result<()> {
    place
        .kube
        .eventually(&format!("an Event of {reason} that names {named}"), async || {
            let events = place.list(Kind::Event, "").await?;
            let notes: Vec<_> = events
                .iter()
                .filter(|event| event.data["reason"] == reason && event.data["regarding"]["name"] == NAME)
                .filter_map(|event| event.data["note"].as_str())
                .collect();
            ensure!(notes.iter().any(|note| note.contains(named)), "{notes:?}");
            Ok(())
        })
        .await
}
