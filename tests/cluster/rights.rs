//! What the operator may do, and what it does: nothing is forbidden that it asks for, and nothing is granted for nothing.

use presence_tests::{
    Context, Result, ensure,
    kube::{Audit, Call, Kind, Place, Release, path, scenario},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::SocketAddr};

const NAME: &str = "school";

/// Group, resource and verb.
type Right = (String, String, String);

/// Granted, and not used here: why.
const NOT_USED_HERE: [(&str, &str, &str); 3] = [
    // Owner references that block deletion need it where OwnerReferencesPermissionEnforcement is on, which it is not here.
    ("presence.rs", "presenceclusters/finalizers", "update"),
    // This cluster does not know the kinds.
    ("gateway.networking.k8s.io", "httproutes", ""),
    ("monitoring.coreos.com", "podmonitors", ""),
];

#[tokio::test]
async fn the_operator_uses_all_that_it_may_and_is_refused_nothing() -> Result<()> {
    scenario("rights", async |place| {
        let audit = Audit::from_now()?;
        let release = Release::install(place, &[]).await?;
        live_a_life(place).await?;
        let operator = release.user(place);
        let calls = audit.calls(|by| by == operator)?;
        let refused: Vec<_> = calls.iter().filter(|call| call.code == 403).collect();
        ensure!(refused.is_empty(), "it was refused {refused:#?}");
        secrets_are_asked_for_by_name(&calls)?;
        let (granted, used) = (granted(place).await?, used(&calls));
        let unused: Vec<_> = granted.difference(&used).filter(|right| !is_excepted(right)).collect();
        ensure!(unused.is_empty(), "granted for nothing: {unused:#?}");
        let ours =
            |right: &&Right| !matches!(right.0.as_str(), "" | "authorization.k8s.io") || !right.1.is_empty();
        let other: Vec<_> = used.difference(&granted).filter(ours).collect();
        ensure!(other.is_empty(), "used, and granted by something else: {other:#?}");
        Ok(())
    })
    .await
}

/// Everything that a resource can ask for, and its end.
async fn live_a_life(place: &Place) -> Result<()> {
    let mut full = place.cluster(NAME, 1)?;
    full["spec"]["route"] = json!({ "ingress": { "host": "school.example" } });
    full["spec"]["autoscaling"] = json!({ "minReplicas": 1, "maxReplicas": 2 });
    full["spec"]["drain"] = json!({ "preStop": "0s", "deadline": "5s", "onDelete": true });
    place.apply(&full).await?;
    place.expect_settled(NAME).await?;
    is_locked_down(place).await?;

    let rotate = json!({ "metadata": { "annotations": { "presence.rs/rotate-internal-secret": "once" } } });
    let before = place.get(Kind::Secret, "school-internal").await?;
    place.merge(Kind::PresenceCluster, NAME, &rotate).await?;
    place
        .kube
        .eventually("the shared secret to be another", async || {
            let now = place.get(Kind::Secret, "school-internal").await?;
            ensure!(now.data["data"]["secret"] != before.data["data"]["secret"], "it is the same");
            Ok(())
        })
        .await?;
    place.expect_settled(NAME).await?;

    let less = json!({ "spec": {
        "route": null, "autoscaling": null, "disruptionBudget": { "enabled": false },
        "networkPolicy": { "enabled": false }, "timings": { "leaveGrace": "6s" },
    } });
    place.merge(Kind::PresenceCluster, NAME, &less).await?;
    place.expect_settled(NAME).await?;
    what_was_made_once_goes(place).await?;
    place.delete(Kind::PresenceCluster, NAME).await?;
    place
        .kube
        .eventually("the resource to be gone", async || {
            ensure!(place.find(Kind::PresenceCluster, NAME).await?.is_none(), "it is there");
            Ok(())
        })
        .await
}

/// An operator of another version made these, and this one does not know what for.
async fn what_was_made_once_goes(place: &Place) -> Result<()> {
    let of = place.get(Kind::PresenceCluster, NAME).await?;
    let owner = json!([{
        "apiVersion": "presence.rs/v1alpha1", "kind": "PresenceCluster", "name": NAME,
        "uid": of.metadata.uid, "controller": true,
    }]);
    let labels = json!({
        "app.kubernetes.io/name": "presence", "app.kubernetes.io/instance": NAME,
        "app.kubernetes.io/managed-by": "presence-operator",
    });
    let meta = json!({ "name": "school-former", "labels": labels, "ownerReferences": owner });
    place.apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta })).await?;
    let port = json!({ "ports": [{ "port": 1 }] });
    place.apply(&json!({ "apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": port })).await?;
    place
        .kube
        .eventually("what is asked for no more to be gone", async || {
            for kind in [Kind::ServiceAccount, Kind::Service] {
                ensure!(place.find(kind, "school-former").await?.is_none(), "the {kind:?} is there");
            }
            Ok(())
        })
        .await
}

/// No token in a pod, nobody is root, and the admin API is closed to whoever has not the shared secret.
async fn is_locked_down(place: &Place) -> Result<()> {
    let namespace = place.kube.kubectl(&["get", "namespace", &place.namespace, "-o", "json"]).await?;
    ensure!(namespace.contains(r#""pod-security.kubernetes.io/enforce": "restricted""#), "{namespace}");
    let pods = place.list(Kind::Pod, &format!("app.kubernetes.io/instance={NAME}")).await?;
    ensure!(!pods.is_empty(), "there is no pod");
    for pod in &pods {
        let text = serde_json::to_string(pod)?;
        ensure!(!text.contains("serviceAccountToken"), "a token is mounted: {text}");
        ensure!(path(pod, "/spec/automountServiceAccountToken")? == false, "a token may be mounted");
    }
    let server = pods.iter().find(|pod| path(pod, "/status/podIP").is_ok() && is_server(pod));
    let at = path(server.context("there is no server")?, "/status/podIP")?.as_str().unwrap_or_default();
    let at = SocketAddr::new(at.parse().context("a pod has an address")?, 8081);
    // The policies of the operator do not let us ask at all: one of our own does, for as long as it is there.
    place
        .apply(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "ask" },
            "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "ports": [{ "port": 8081 }] }] },
        }))
        .await?;
    let http = reqwest::Client::new();
    let url = format!("http://{at}/api/v1/stats");
    for token in [None, Some("0123456789abcdef0123456789abcdef")] {
        let ask = || token.into_iter().fold(http.get(&url), reqwest::RequestBuilder::bearer_auth);
        let answer = async || Ok(ask().send().await.context("ask the admin API")?.status());
        let status = place.kube.eventually("the admin API to answer", answer).await?;
        ensure!(status == 401, "the admin API answers {status}");
    }
    place.delete(Kind::NetworkPolicy, "ask").await
}

fn is_server(pod: &kube::core::DynamicObject) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|all| all.get("app.kubernetes.io/component")).is_some_and(|it| it == "server")
}

fn secrets_are_asked_for_by_name(calls: &[Call]) -> Result<()> {
    for call in calls.iter().filter(|call| call.resource == "secrets") {
        let is_one = matches!(call.verb.as_str(), "get" | "create" | "update") && !call.name.is_empty();
        ensure!(is_one || call.verb == "create", "{call:?}");
    }
    Ok(())
}

/// What the Roles of the release grant.
async fn granted(place: &Place) -> Result<BTreeSet<Right>> {
    let roles = place.list(Kind::Role, "app.kubernetes.io/name=presence-operator").await?;
    ensure!(roles.len() == 2, "there are {} roles", roles.len());
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in roles.iter().filter_map(|role| role.data["rules"].as_array()).flatten() {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                for verb in list(&rule["verbs"]) {
                    ensure!(![&group, &resource, &verb].contains(&&"*".to_owned()), "a wildcard: {rule}");
                    granted.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    Ok(granted)
}

fn used(calls: &[Call]) -> BTreeSet<Right> {
    let right = |call: &Call, verb: &str| (call.group.clone(), call.resource.clone(), verb.to_owned());
    let mut used: BTreeSet<_> = calls.iter().map(|call| right(call, &call.verb)).collect();
    // An apply that makes an object needs both.
    let made = calls.iter().filter(|call| call.verb == "patch" && call.code == 201);
    used.extend(made.map(|call| right(call, "create")));
    used
}

fn is_excepted((group, resource, verb): &Right) -> bool {
    NOT_USED_HERE
        .iter()
        .any(|(of, what, how)| of == group && what == resource && (how.is_empty() || how == verb))
}
