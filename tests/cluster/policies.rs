//! Who reaches whom: every pair of a table is tried by a packet from the pod's own network. What is refused is open where there
//! is no policy, or else a closed port would pass for a refusal.

mod inside;

use self::inside::{Inside, stranger};
use presence_tests::{
    Context, Result, ensure, environment,
    kube::{Kind, Place, Release, scenario},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

const NAME: &str = "school";
/// Where PostgreSQL, NATS and Redis of the tests are.
const BACKING: &str = "presence-backing";
/// Where the tests come from: no pod, so it is judged by its address.
const OUTSIDE: &str = "10.99.0.1/32";
const DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)), 53);
const API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1)), 443);
/// Of node1: their own node to some pods.
const KUBELET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 99, 0, 11)), 10250);

const PUBLIC: u16 = 8080;
const INTERNAL: u16 = 8081;
const METRICS: u16 = 8888;
const POSTGRESQL: u16 = 5432;
/// Nothing of ours.
const ODD: u16 = 7777;

/// Who, where to, and whether it is to be let through.
type Way<'a> = (&'a Inside, SocketAddr, bool);

#[tokio::test]
async fn strangers_reach_what_the_spec_lets_them() -> Result<()> {
    scenario("strangers", async |place| {
        let (_release, pods) = served(place).await?;
        let elsewhere = Place::new("elsewhere").await?;
        let client = BTreeMap::from([("tier".to_owned(), "client".to_owned())]);
        let here = [
            stranger(place, "stranger", "node1", &BTreeMap::new()).await?,
            stranger(place, "client", "node1", &client).await?,
        ];
        let there = [
            stranger(&elsewhere, "stranger", "node2", &BTreeMap::new()).await?,
            stranger(&elsewhere, "client", "node2", &client).await?,
        ];
        let [stranger, client] = &here;
        let [far_stranger, far_client] = &there;
        let all = [stranger, client, far_stranger, far_client];

        // The spec says nothing: doors and metrics are everybody's, what siblings say to each other is not.
        let by_default = [(PUBLIC, true), (METRICS, true), (INTERNAL, false)];
        expect(place, &table(&pods, all.map(|who| (who, by_default)))?).await?;
        expect_outside(place, &pods, true).await?;

        // Doors are for clients of this namespace, metrics for those of the other one.
        let of_other = json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": elsewhere.namespace } },
            "podSelector": { "matchLabels": { "tier": "client" } },
        });
        let clients = json!([{ "podSelector": { "matchLabels": { "tier": "client" } } }]);
        says(place, &json!({ "clients": clients, "monitoring": [of_other] })).await?;
        let nothing = [(PUBLIC, false), (METRICS, false), (INTERNAL, false)];
        let as_said = [
            (stranger, nothing),
            (client, [(PUBLIC, true), (METRICS, false), (INTERNAL, false)]),
            (far_stranger, nothing),
            (far_client, [(PUBLIC, false), (METRICS, true), (INTERNAL, false)]),
        ];
        expect(place, &table(&pods, as_said)?).await?;
        expect_outside(place, &pods, false).await?;
        says(place, &json!({ "clients": [{ "ipBlock": { "cidr": OUTSIDE } }] })).await?;
        expect_outside(place, &pods, true).await?;
        let by_address = [(PUBLIC, false), (METRICS, true), (INTERNAL, false)];
        expect(place, &table(&pods, [(client, by_address)])?).await?;

        // Without policies all of it is open: it was they that refused.
        says(place, &json!({ "enabled": false })).await?;
        let open = [(PUBLIC, true), (METRICS, true), (INTERNAL, true)];
        expect(place, &table(&pods, all.map(|who| (who, open)))?).await?;
        elsewhere.leave().await
    })
    .await
}

#[tokio::test]
async fn pods_reach_what_they_stand_on_and_nothing_else() -> Result<()> {
    scenario("outwards", async |place| {
        let (release, pods) = served(place).await?;
        let other = stranger(place, "stranger", "node1", &BTreeMap::new()).await?;
        let migration = stranger(place, "migration", "node1", &of_migration()).await?;
        let operator = Inside::of(place, &release.pods(place).await?[0]).await?;
        let _open =
            [other.listen(ODD)?, other.listen(POSTGRESQL)?, migration.listen(ODD)?, operator.listen(ODD)?];
        let backing = json!({ "matchLabels": { "kubernetes.io/metadata.name": BACKING } });
        says(place, &json!({ "backing": [{ "namespaceSelector": backing }] })).await?;
        let (odd, posing) = (other.at(ODD)?, other.at(POSTGRESQL)?);
        let [postgres, nats, redis] = stands_on()?;

        let mut ways: Vec<Way<'_>> = Vec::new();
        for pod in &pods {
            ways.extend([postgres, nats, redis, DNS].map(|to| (pod, to, true)));
            ways.extend([odd, posing, API, KUBELET, operator.at(METRICS)?].map(|to| (pod, to, false)));
            for sibling in &pods {
                ways.push((pod, sibling.at(INTERNAL)?, true));
                // A pod always reaches itself.
                ways.push((pod, sibling.at(PUBLIC)?, pod.name == sibling.name));
            }
            ways.push((&operator, pod.at(INTERNAL)?, true));
            ways.extend([(&operator, pod.at(PUBLIC)?, false), (&operator, pod.at(METRICS)?, false)]);
        }
        ways.extend([postgres, DNS].map(|to| (&migration, to, true)));
        let siblings = pods[0].at(INTERNAL)?;
        ways.extend([nats, redis, odd, posing, API, KUBELET, siblings].map(|to| (&migration, to, false)));
        ways.push((&other, migration.at(ODD)?, false));
        ways.extend([API, DNS].map(|to| (&operator, to, true)));
        ways.extend([postgres, nats, redis, odd, KUBELET].map(|to| (&operator, to, false)));
        ways.extend([(&other, operator.at(METRICS)?, true), (&other, operator.at(ODD)?, false)]);
        expect(place, &ways).await?;
        for pod in [&pods[0], &migration, &operator] {
            let what = format!("{} to resolve a name", pod.name);
            let resolves = async || {
                ensure!(pod.resolves(DNS)?, "there is no answer");
                Ok(())
            };
            place.kube.eventually(&what, resolves).await?;
        }

        // Without policies all of it is open: it was they that refused.
        says(place, &json!({ "enabled": false })).await?;
        release.upgrade(place, &["networkPolicy.enabled=false"]).await?;
        expect(place, &ways.into_iter().map(|(who, to, _)| (who, to, true)).collect::<Vec<_>>()).await
    })
    .await
}

/// The operator with two pods of presence, a node each.
async fn served(place: &Place) -> Result<(Release, Vec<Inside>)> {
    // In a cluster of somebody's own there is no entering a pod's network.
    environment::testbed()?;
    let release = Release::install(place, &[]).await?;
    place.apply(&place.cluster(NAME, 2)?).await?;
    place.expect_settled(NAME).await?;
    let mut pods = Vec::new();
    for (name, _) in place.pods(NAME).await? {
        pods.push(Inside::of(place, &name).await?);
    }
    ensure!(pods.len() == 2, "{pods:?}");
    Ok((release, pods))
}

/// The labels that the operator gives the pods of migrations.
fn of_migration() -> BTreeMap<String, String> {
    let labels = [("name", "presence"), ("instance", NAME), ("component", "migration")];
    labels.map(|(key, value)| (format!("app.kubernetes.io/{key}"), value.to_owned())).into()
}

/// PostgreSQL, NATS and Redis, as pods are told.
fn stands_on() -> Result<[SocketAddr; 3]> {
    let address = |url: &url::Url| -> Result<SocketAddr> {
        let host = url.host_str().context("a URL has a host")?.parse().context("it is an address")?;
        Ok(SocketAddr::new(host, url.port().context("a URL of ours has a port")?))
    };
    Ok([
        address(&environment::postgres()?)?,
        address(&environment::nats()?)?,
        address(&environment::redis()?)?,
    ])
}

/// Changes what the spec says of policies; the rest of it stays. No pod is another for that.
async fn says(place: &Place, policy: &Value) -> Result<()> {
    let whole =
        [("enabled", json!(true)), ("clients", json!([])), ("monitoring", json!([])), ("backing", json!([]))];
    let mut whole: serde_json::Map<_, _> =
        whole.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    whole.extend(policy.as_object().context("a policy is an object")?.clone());
    let change = json!({ "spec": { "networkPolicy": whole } });
    place.merge(Kind::PresenceCluster, NAME, &change).await.map(drop)
}

/// These ports of all pods of presence.
fn table<'a>(
    pods: &[Inside],
    rows: impl IntoIterator<Item = (&'a Inside, [(u16, bool); 3])>,
) -> Result<Vec<Way<'a>>> {
    let mut ways = Vec::new();
    for (who, ports) in rows {
        for pod in pods {
            for (port, open) in ports {
                ways.push((who, pod.at(port)?, open));
            }
        }
    }
    Ok(ways)
}

/// All of them at one look: what was let through for a moment after a change is no matter, what stays so is.
async fn expect(place: &Place, ways: &[Way<'_>]) -> Result<()> {
    ensure!(!ways.is_empty(), "nothing is expected");
    place
        .kube
        .eventually("packets to go where they may, and nowhere else", async || {
            let mut wrong = Vec::new();
            for (who, to, open) in ways {
                if who.reaches(*to)? != *open {
                    wrong.push(format!("{} → {to} is {}", who.name, if *open { "refused" } else { "open" }));
                }
            }
            ensure!(wrong.is_empty(), "{}", wrong.join("; "));
            Ok(())
        })
        .await
}

/// Whether the tests themselves are let in at the doors.
async fn expect_outside(place: &Place, pods: &[Inside], open: bool) -> Result<()> {
    let what = format!("the doors to be {} to who is no pod", if open { "open" } else { "closed" });
    place
        .kube
        .eventually(&what, async || {
            for pod in pods {
                let taken = match tokio::net::TcpStream::connect(pod.at(PUBLIC)?).await {
                    Ok(_) => true,
                    Err(error) if error.kind() == ErrorKind::HostUnreachable => false,
                    Err(error) => return Err(error).context("neither taken nor prohibited"),
                };
                ensure!(taken == open, "{} is not", pod.name);
            }
            Ok(())
        })
        .await
}
