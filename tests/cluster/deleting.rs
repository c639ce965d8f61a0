//! What goes with a resource, and what does not.

use presence_tests::{
    Result, ensure,
    kube::{Kind, Place, Release, names, scenario},
};
use serde_json::{Value, json};

/// Of somebody else, whatever they are called and labelled.
fn strangers() -> [Value; 3] {
    let labels = json!({ "app.kubernetes.io/name": "presence", "app.kubernetes.io/instance": "school" });
    let labelled = |kind: &str, name: &str, more: Value| {
        let mut object =
            json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "labels": labels } });
        for (key, value) in more.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        object
    };
    let port = json!({ "spec": { "ports": [{ "port": 1 }] } });
    [
        labelled("ConfigMap", "school-0123456789", json!({ "data": { "theirs": "yes" } })),
        labelled("Service", "school-theirs", port),
        labelled("ServiceAccount", "school-2", json!({})),
    ]
}

#[tokio::test]
async fn what_is_owned_goes_and_nothing_else_does() -> Result<()> {
    scenario("delete", async |place| {
        let release = Release::install(place, &[]).await?;
        let mut before = vec![];
        for stranger in strangers() {
            before.push(place.apply(&stranger).await?);
        }
        place.apply(&place.cluster("school", 1)?).await?;
        let mut drained = place.cluster("drained", 1)?;
        drained["spec"]["drain"]["onDelete"] = true.into();
        drained["spec"]["redis"]["keyPrefix"] = format!("{}-drained:", place.id).into();
        place.expect_settled("school").await?;
        place.apply(&drained).await?;
        place.expect_settled("drained").await?;
        place.begin_sessions_apart()?;
        let drained = place.get(Kind::PresenceCluster, "drained").await?;
        ensure!(drained.metadata.finalizers.is_some(), "nothing holds it until its pods have drained");
        let school = place.get(Kind::PresenceCluster, "school").await?;
        ensure!(school.metadata.finalizers.is_none(), "a finalizer nobody asked for");

        // One after the other: what is of the one is not of the other.
        goes(place, "drained").await?;
        place.expect_settled("school").await?;
        // Without the operator, as Kubernetes does it.
        release.uninstall(place).await?;
        goes(place, "school").await?;
        for former in before {
            let name = former.metadata.name.as_deref().unwrap_or_default();
            let kind = [Kind::ConfigMap, Kind::Service, Kind::ServiceAccount];
            let kind = kind
                .into_iter()
                .find(|kind| format!("{kind:?}") == former.types.as_ref().map_or("", |it| &it.kind));
            let now = place.get(kind.expect("it is one of these"), name).await?;
            ensure!(now == former, "{name} was touched: {now:?}");
        }
        Ok(())
    })
    .await
}

async fn goes(place: &Place, cluster: &str) -> Result<()> {
    place.delete(Kind::PresenceCluster, cluster).await?;
    place
        .kube
        .eventually(&format!("all of {cluster} to be gone"), async || {
            ensure!(place.find(Kind::PresenceCluster, cluster).await?.is_none(), "the resource is there");
            let ours = format!(
                "app.kubernetes.io/instance={cluster},app.kubernetes.io/managed-by=presence-operator"
            );
            for kind in Kind::OWNED.into_iter().chain([Kind::ReplicaSet, Kind::Pod]) {
                let of = if kind == Kind::ReplicaSet || kind == Kind::Pod {
                    format!("app.kubernetes.io/instance={cluster},app.kubernetes.io/component")
                } else {
                    ours.clone()
                };
                let left = place.list(kind, &of).await?;
                ensure!(left.is_empty(), "{kind:?} {:?} are left", names(&left));
            }
            Ok(())
        })
        .await
}
