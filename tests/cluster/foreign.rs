//! Kinds that others own, HTTPRoute and PodMonitor, by the definitions that their projects release: not known, brought while
//! the operator runs, and taken away again.

use crate::references::told;
use presence_tests::{
    Context, Result, ensure, environment,
    kube::{Kind, Place, Release, path, scenario_alone},
};
use serde_json::{Value, json};
use std::process::Command;

const NAME: &str = "school";

/// What defines the kinds, and in which file. The route is last: it is what the resource misses, and a monitor that is not known
/// is missed by nobody.
const DEFINITIONS: [(&str, &str); 2] = [
    ("podmonitors.monitoring.coreos.com", "monitoring.coreos.com_podmonitors.yaml"),
    ("httproutes.gateway.networking.k8s.io", "gateway.networking.k8s.io_httproutes.yaml"),
];

/// Alone: kinds are the whole cluster's, and other scenarios rest on these being unknown.
#[tokio::test]
async fn routes_and_monitors_come_and_go_with_the_spec_and_with_their_kinds() -> Result<()> {
    scenario_alone("foreign", async |place| {
        for (name, _) in DEFINITIONS {
            let found = place.kube.kubectl(&["get", "crd", name, "--ignore-not-found", "-o", "name"]).await?;
            ensure!(
                found.is_empty(),
                "this cluster knows {name}, and this scenario would take it away: give it a cluster of its own"
            );
        }
        let played = play(place).await;
        // Whatever was seen, others rest on it.
        let gone = take_away(place).await;
        played.and(gone)
    })
    .await
}

async fn play(place: &Place) -> Result<()> {
    Release::install(place, &[]).await?;
    place.apply(&place.cluster(NAME, 1)?).await?;
    place.expect_settled(NAME).await?;
    let pods = place.pods(NAME).await?;

    change(place, &wish("school.example")).await?;
    let message = place.expect(NAME, "Degraded", "True", "KindNotFound").await?;
    ensure!(message.contains("HTTPRoute"), "the message does not name it: {message}");
    told(place, "KindNotFound", "HTTPRoute").await?;
    bring(place).await?;
    place.expect_settled(NAME).await.context("the kinds are there, and nobody touched the resource")?;
    is_a_way_in(place, "school.example").await?;
    is_a_way_to_metrics(place).await?;
    the_schemas_take_what_is_rendered(place).await?;

    change(place, &wish("*.academy.example")).await?;
    place.expect_settled(NAME).await?;
    is_a_way_in(place, "*.academy.example").await?;
    for (kind, generation) in [(Kind::HTTPRoute, 2), (Kind::PodMonitor, 1)] {
        let seen = place.get(kind, NAME).await?.metadata.generation;
        ensure!(seen == Some(generation), "{kind:?} is written again and again: {seen:?}");
    }
    place.delete(Kind::HTTPRoute, NAME).await?;
    is_there(place, Kind::HTTPRoute, true).await.context("one that somebody removed")?;

    change(place, &json!({ "route": null, "monitoring": { "podMonitor": false } })).await?;
    place.expect_settled(NAME).await?;
    is_there(place, Kind::HTTPRoute, false).await?;
    is_there(place, Kind::PodMonitor, false).await?;
    let now = place.pods(NAME).await?;
    ensure!(now == pods, "pods were {pods:?} and are {now:?}");
    without_the_kinds(place, &pods).await
}

/// A kind that goes takes its objects along, and nothing else is held up by it.
async fn without_the_kinds(place: &Place, pods: &[(String, String)]) -> Result<()> {
    change(place, &json!({ "monitoring": { "podMonitor": true } })).await?;
    is_there(place, Kind::PodMonitor, true).await?;
    take_away(place).await?;
    change(place, &json!({ "timings": { "leaveGrace": "7s" } })).await?;
    place
        .kube
        .eventually("another revision to serve", async || {
            let now = place.pods(NAME).await?;
            ensure!(now.len() == 1 && now != pods, "{now:?}");
            Ok(())
        })
        .await?;
    place.expect_settled(NAME).await.map(drop)
}

fn wish(host: &str) -> Value {
    json!({
        "route": { "gateway": { "name": "edge", "sectionName": "https", "hostnames": [host] } },
        "monitoring": { "interval": "90s", "labels": { "release": "prometheus" } },
    })
}

async fn change(place: &Place, spec: &Value) -> Result<()> {
    place.merge(Kind::PresenceCluster, NAME, &json!({ "spec": spec })).await.map(drop)
}

async fn bring(place: &Place) -> Result<()> {
    let folder = environment::crds()?;
    for (name, file) in DEFINITIONS {
        let file = folder.join(file);
        let file = file.to_str().context("a path is text")?;
        place.kube.kubectl(&["apply", "--server-side", "--field-manager=presence-tests", "-f", file]).await?;
        let known = ["wait", "--for=condition=Established", "crd", name];
        place
            .kube
            .eventually("the kind to be known", async || place.kube.kubectl(&known).await.map(drop))
            .await?;
    }
    Ok(())
}

async fn take_away(place: &Place) -> Result<()> {
    let names = DEFINITIONS.map(|(name, _)| name);
    let how = ["--ignore-not-found", "--timeout=2m"];
    place.kube.kubectl(&[&["delete", "crd"], &names[..], &how[..]].concat()).await.map(drop)
}

async fn is_there(place: &Place, kind: Kind, wanted: bool) -> Result<()> {
    place
        .kube
        .eventually(&format!("{kind:?}: {wanted}"), async || {
            let found = place.find(kind, NAME).await?;
            ensure!(found.is_some() == wanted, "{kind:?} is {found:?}");
            Ok(())
        })
        .await
}

/// From the listener to the Service, and nothing on the way cuts a socket.
async fn is_a_way_in(place: &Place, host: &str) -> Result<()> {
    let route = place.get(Kind::HTTPRoute, NAME).await?;
    let service = place.get(Kind::Service, NAME).await?;
    let port = path(&service, "/spec/ports/0/port")?;
    for (at, wanted) in [
        ("/spec/parentRefs/0/kind", &json!("Gateway")),
        ("/spec/parentRefs/0/name", &json!("edge")),
        ("/spec/parentRefs/0/sectionName", &json!("https")),
        ("/spec/hostnames", &json!([host])),
        ("/spec/rules/0/matches/0/path", &json!({ "type": "PathPrefix", "value": "/" })),
        ("/spec/rules/0/backendRefs/0/kind", &json!("Service")),
        ("/spec/rules/0/backendRefs/0/name", &json!(NAME)),
        ("/spec/rules/0/backendRefs/0/port", port),
        ("/spec/rules/0/timeouts", &json!({ "request": "0s", "backendRequest": "0s" })),
    ] {
        let found = path(&route, at)?;
        ensure!(found == wanted, "{at} is {found}, not {wanted}");
    }
    belongs(place, &route).await
}

/// It selects the pods that serve, and names a port that they have.
async fn is_a_way_to_metrics(place: &Place) -> Result<()> {
    is_there(place, Kind::PodMonitor, true).await?;
    let monitor = place.get(Kind::PodMonitor, NAME).await?;
    let labels = monitor.metadata.labels.clone().unwrap_or_default();
    ensure!(labels.get("release").is_some_and(|it| it == "prometheus"), "{labels:?}");
    let endpoints = path(&monitor, "/spec/podMetricsEndpoints")?;
    let [endpoint] = endpoints.as_array().context("endpoints are a list")?.as_slice() else {
        return Err(presence_tests::Error::msg(format!("{endpoints}")));
    };
    ensure!(endpoint["interval"] == "90s" && endpoint["path"] == "/metrics", "{endpoint}");
    let selector = path(&monitor, "/spec/selector/matchLabels")?.as_object().context("labels are a map")?;
    let selector: Vec<_> =
        selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("?"))).collect();
    let pods = place.list(Kind::Pod, &selector.join(",")).await?;
    ensure!(!pods.is_empty(), "no pod has {selector:?}");
    for pod in &pods {
        let ports = path(pod, "/spec/containers/0/ports")?.as_array().context("ports are a list")?;
        ensure!(ports.iter().any(|port| port["name"] == endpoint["port"]), "{endpoint} of {ports:?}");
    }
    let target = path(&monitor, "/spec/podTargetLabels/0")?.as_str().context("a label is text")?;
    ensure!(pods.iter().all(|pod| pod.metadata.labels.iter().flatten().any(|(key, _)| key == target)));
    belongs(place, &monitor).await
}

async fn belongs(place: &Place, object: &kube::core::DynamicObject) -> Result<()> {
    let of = place.get(Kind::PresenceCluster, NAME).await?;
    let owners = object.metadata.owner_references.as_deref().unwrap_or_default();
    let is_ours =
        owners.iter().any(|it| it.controller == Some(true) && Some(&it.uid) == of.metadata.uid.as_ref());
    ensure!(is_ours, "it belongs to {owners:?}");
    Ok(())
}

/// The API server drops a field that it does not know, unless it is asked to be strict.
async fn the_schemas_take_what_is_rendered(place: &Place) -> Result<()> {
    let mut of = place.cluster("rendered", 1)?;
    of["metadata"]["namespace"] = json!(place.namespace);
    let plain = json!({ "gateway": { "name": "edge", "hostnames": ["a.example", "*.b.example"] } });
    for (route, interval) in [(wish("school.example")["route"].take(), "1500ms"), (plain, "1h")] {
        of["spec"]["route"] = route;
        of["spec"]["monitoring"] = json!({ "interval": interval });
        let rendered = render(place, &of)?;
        let (taken, said) = strict(place, &rendered).await?;
        ensure!(taken, "{said}\n{rendered}");
        ensure!(said.matches("serverside-applied").count() == DEFINITIONS.len(), "{said}");
        for (field, misspelt) in
            [("backendRequest:", "backendRequests:"), ("podTargetLabels:", "podTargets:")]
        {
            let wrong = rendered.replace(field, misspelt);
            let (taken, said) = strict(place, &wrong).await?;
            let named = said.contains(misspelt.trim_end_matches(':'));
            ensure!(!taken && named, "{misspelt} was taken, so nothing was seen: {said}");
        }
    }
    Ok(())
}

async fn strict(place: &Place, manifest: &str) -> Result<(bool, String)> {
    let how = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"];
    place.kube.kubectl_with(&how, manifest).await
}

/// What the operator makes of it, of the kinds that are asked about.
fn render(place: &Place, of: &Value) -> Result<String> {
    let file = place.folder().join("rendered.yaml");
    std::fs::write(&file, of.to_string()).context("write a spec")?;
    let output = Command::new(environment::operator()?).args(["render", "--file"]).arg(&file).output();
    let output = output.context("run the operator")?;
    let said = String::from_utf8(output.stdout).context("it renders text")?;
    ensure!(output.status.success(), "render: {said}{}", String::from_utf8_lossy(&output.stderr));
    let kinds = [Kind::HTTPRoute, Kind::PodMonitor].map(|kind| format!("\nkind: {kind:?}\n"));
    let ours = |object: &&str| kinds.iter().any(|kind| object.contains(kind));
    Ok(said.split("---\n").filter(ours).collect::<Vec<_>>().join("---\n"))
}
