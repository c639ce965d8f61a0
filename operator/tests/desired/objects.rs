//! The objects fit each other, are all ours, and are as little as they may be.

use presence_operator::{
    desired::{Desired, objects as make},
    facts::Facts,
};
use serde_json::{Value, json};

use super::fixture::{FULL, SMALLEST, all, both, desired, facts, find, resource, template, with_gateway};

#[test]
fn every_object_is_ours_and_in_the_namespace() {
    for of in both() {
        let desired = desired(&of);
        for object in all(&desired) {
            let metadata = &object.value["metadata"];
            let owner = json!([{
                "apiVersion": "presence.rs/v1alpha1",
                "kind": "PresenceCluster",
                "name": of.metadata.name,
                "uid": of.metadata.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }]);
            assert_eq!(metadata["ownerReferences"], owner, "{}", object.name);
            assert_eq!(metadata["namespace"], "classes", "{}", object.name);
            assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "presence-operator");
            assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], json!(of.metadata.name));
        }
    }
}

/// What the API server drops when it writes an object: nulls, empty lists, and text and maps of certain fields.
fn dropped(value: &Value, path: &str) -> Vec<String> {
    const MAPS: [&str; 6] = ["matchLabels", "nodeSelector", "annotations", "labels", "requests", "limits"];
    match value {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(key, value)| {
                let path = format!("{path}.{key}");
                let is_empty_map = *value == json!({}) && MAPS.contains(&key.as_str());
                if is_empty_map { vec![path] } else { dropped(value, &path) }
            })
            .collect(),
        Value::Array(items) if !items.is_empty() => {
            items.iter().flat_map(|item| dropped(item, path)).collect()
        }
        // The core group's name is empty, and required in a route's backend.
        Value::String(text) if text.is_empty() && path.ends_with("backendRefs.group") => vec![],
        Value::String(text) if !text.is_empty() => vec![],
        Value::Bool(_) | Value::Number(_) => vec![],
        Value::Null | Value::Array(_) | Value::String(_) => vec![path.to_owned()],
    }
}

#[test]
fn nothing_is_asked_for_that_the_api_server_would_drop() {
    for of in both().into_iter().chain([with_gateway(resource(FULL))]) {
        let desired = desired(&of);
        for object in all(&desired) {
            assert_eq!(dropped(&object.value, &object.name), Vec::<String>::new());
        }
    }
    assert_eq!(
        dropped(&json!({"a": [], "b": null, "labels": {}, "c": {"d": ""}}), ""),
        [".a", ".b", ".c.d", ".labels"]
    );
}

#[test]
fn what_users_write_is_put_as_the_api_server_puts_it() {
    let full = desired(&resource(FULL));
    let pod = &template(&full.deployment)["spec"];
    let resources = json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1536Mi"}});
    assert_eq!(pod["containers"][0]["resources"], resources);
    let policy = find(&full, "NetworkPolicy", "academy");
    let backing = &of_revision(&full)["egress"][0];
    assert_eq!(backing["to"], json!([{"ipBlock": {"cidr": "10.20.0.0/16"}}]));
    // Everything in that namespace: an empty selector is kept.
    assert_eq!(policy["spec"]["ingress"][2]["from"][0]["podSelector"], json!({}));
}

fn matches(selector: &Value, labels: &Value) -> bool {
    selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn servers_and_migrations_are_selected_by_what_is_theirs_alone() {
    for of in both() {
        let desired = desired(&of);
        let server = &template(&desired.deployment)["metadata"]["labels"];
        let migration = &template(desired.migration.as_ref().unwrap())["metadata"]["labels"];
        let name = of.metadata.name.as_deref().unwrap();
        let of_servers = [
            &find(&desired, "Service", name)["spec"]["selector"],
            &find(&desired, "Service", &format!("{name}-pods"))["spec"]["selector"],
            &find(&desired, "PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"],
            &find(&desired, "PodMonitor", name)["spec"]["selector"]["matchLabels"],
            &find(&desired, "NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"],
            &of_revision(&desired)["podSelector"]["matchLabels"],
            &desired.deployment.value["spec"]["selector"]["matchLabels"],
        ];
        for selector in of_servers {
            assert!(matches(selector, server) && !matches(selector, migration), "{selector}");
        }
        let denied = find(&desired, "NetworkPolicy", &format!("{name}-migrate"));
        let selector = &denied["spec"]["podSelector"]["matchLabels"];
        assert!(matches(selector, migration) && !matches(selector, server), "{selector}");
        assert_eq!(denied["spec"]["ingress"], Value::Null);
    }
}

#[test]
fn pods_are_restricted() {
    for of in both() {
        let desired = desired(&of);
        for object in desired.migration.iter().chain([&desired.deployment]) {
            let pod = &template(object)["spec"];
            assert_eq!(pod["automountServiceAccountToken"], false);
            assert_eq!(pod["enableServiceLinks"], false);
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            for forbidden in ["hostNetwork", "hostPID", "hostIPC", "initContainers", "hostUsers"] {
                assert_eq!(pod[forbidden], Value::Null, "{forbidden}");
            }
            let container = &pod["containers"][0];
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
            for volume in pod["volumes"].as_array().unwrap() {
                assert_eq!(volume["hostPath"], Value::Null);
                assert!(volume["emptyDir"] == Value::Null || volume["emptyDir"]["sizeLimit"].is_string());
            }
            // Each volume is mounted, and each mount is of a volume.
            let names = |list: &Value| -> Vec<String> {
                list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
            };
            assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
        }
    }
}

#[test]
fn a_pod_has_the_time_that_it_may_take() {
    let grace = |text| {
        let desired = desired(&resource(text));
        template(&desired.deployment)["spec"]["terminationGracePeriodSeconds"].clone()
    };
    assert_eq!(grace(SMALLEST), 5 + 30 + 11);
    assert_eq!(grace(FULL), 15 + 120 + 11);
    let mut of = resource(SMALLEST);
    of.spec.drain.pre_stop = "0s".parse().unwrap();
    of.spec.drain.deadline = "1500ms".parse().unwrap();
    let hasty = desired(&of);
    let pod = &template(&hasty.deployment)["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 2 + 11);
    assert_eq!(pod["containers"][0]["lifecycle"], Value::Null, "the API server refuses to sleep for no time");
}

/// The policy that goes with the revision.
fn of_revision(desired: &Desired) -> &Value {
    &find(desired, "NetworkPolicy", &desired.deployment.name)["spec"]
}

fn ports(rule: &Value) -> Vec<i64> {
    rule["ports"].as_array().unwrap().iter().map(|port| port["port"].as_i64().unwrap()).collect()
}

#[test]
fn policies_let_through_what_is_needed() {
    let full = desired(&resource(FULL));
    let policy = &find(&full, "NetworkPolicy", "academy")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let backing = &of_revision(&full)["egress"][0];
    // Web, three NATS servers, the collector, the pooler, Redis, the authorisation service.
    assert_eq!(ports(backing), [443, 4222, 4223, 4318, 6380, 6432, 9000]);
    let operator = &policy["ingress"][1]["from"][1];
    assert_eq!(operator["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "operators");
    assert_eq!(operator["podSelector"]["matchLabels"]["app.kubernetes.io/name"], "presence-operator");
    let migrations = &find(&full, "NetworkPolicy", "academy-migrate")["spec"];
    assert_eq!(ports(migrations["egress"].as_array().unwrap().last().unwrap()), [5433]);
}

/// A Service's port is in the URL, that of its pods is not.
#[test]
fn policies_let_through_ports_that_no_url_has() {
    let mut of = resource(FULL);
    of.spec.network_policy.backing_ports = vec![8443, 4222];
    let full = desired(&of);
    let ours = &of_revision(&full)["egress"][0];
    assert_eq!(ports(ours), [443, 4222, 4223, 4318, 6380, 6432, 8443, 9000]);
    let migrations = &find(&full, "NetworkPolicy", "academy-migrate")["spec"];
    assert_eq!(ports(migrations["egress"].as_array().unwrap().last().unwrap()), [4222, 5433, 8443]);
}

#[test]
fn unless_it_is_said_clients_are_anybody_and_metrics_are_for_the_cluster() {
    let of = resource(SMALLEST);
    let smallest = make(&of, &Facts::default()).unwrap();
    let policy = &find(&smallest, "NetworkPolicy", "school")["spec"];
    assert_eq!(policy["ingress"][0], json!({"ports": [{"port": 8080, "protocol": "TCP"}]}));
    assert_eq!(
        policy["ingress"][1]["from"].as_array().unwrap().len(),
        1,
        "siblings, and no operator outside"
    );
    assert_eq!(policy["ingress"][2]["from"], json!([{"namespaceSelector": {}}]));
    assert_eq!(ports(&of_revision(&smallest)["egress"][0]), [4222, 5432]);
}

#[test]
fn what_is_not_asked_for_is_not_there() {
    let kinds = |of: &_, facts: &Facts| -> Vec<String> {
        let desired = make(of, facts).unwrap();
        desired.base.iter().map(|object| object.resource.kind.clone()).collect()
    };
    let mut of = resource(FULL);
    let every = [
        "ServiceAccount",
        "NetworkPolicy",
        "NetworkPolicy",
        "NetworkPolicy",
        "Service",
        "Service",
        "PodDisruptionBudget",
        "Ingress",
        "PodMonitor",
        "HorizontalPodAutoscaler",
    ];
    assert_eq!(kinds(&of, &facts()), every);
    let behind_gateway = kinds(&with_gateway(of.clone()), &facts());
    assert!(
        behind_gateway.contains(&"HTTPRoute".to_owned()) && !behind_gateway.contains(&"Ingress".to_owned())
    );
    assert!(!kinds(&of, &Facts::default()).contains(&"PodMonitor".to_owned()), "the cluster knows none");
    of.spec.database.migrate = presence_operator::crd::Migrate::Manual;
    assert_eq!(make(&of, &facts()).unwrap().migration, None);
    assert_eq!(kinds(&of, &facts()).iter().filter(|kind| *kind == "NetworkPolicy").count(), 2);
    of.spec.network_policy.enabled = false;
    of.spec.disruption_budget.enabled = false;
    of.spec.route = None;
    of.spec.monitoring.pod_monitor = false;
    of.spec.autoscaling = None;
    assert_eq!(kinds(&of, &facts()), ["ServiceAccount", "Service", "Service"]);
}

#[test]
fn routes_lead_to_the_service_and_do_not_cut_sockets() {
    let full = desired(&resource(FULL));
    let ingress = find(&full, "Ingress", "academy");
    let annotations = &ingress["metadata"]["annotations"];
    assert_eq!(annotations["nginx.ingress.kubernetes.io/proxy-send-timeout"], "3600");
    assert_eq!(
        annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"], "7200",
        "the user's word is the last"
    );
    assert_eq!(annotations["nginx.ingress.kubernetes.io/proxy-body-size"], "4294k");
    let port = &find(&full, "Service", "academy")["spec"]["ports"][0];
    let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    assert_eq!(backend, &json!({"name": "academy", "port": {"name": port["name"]}}));
    let routed = desired(&with_gateway(resource(FULL)));
    let spec = &find(&routed, "HTTPRoute", "academy")["spec"];
    assert_eq!(spec["hostnames"], json!(["presence.academy.example"]));
    assert_eq!(spec["parentRefs"][0]["sectionName"], "https");
    let rule = &spec["rules"][0];
    assert_eq!(rule["backendRefs"][0]["port"], port["port"]);
    assert_eq!(rule["timeouts"], json!({"request": "0s", "backendRequest": "0s"}));
}

#[test]
fn a_deployment_has_no_replicas_and_never_rolls() {
    for of in both() {
        let spec = &desired(&of).deployment.value["spec"];
        assert_eq!(spec["replicas"], Value::Null, "another field manager has them");
        assert_eq!(spec["revisionHistoryLimit"], 0);
    }
    let autoscaler = desired(&resource(FULL));
    let target = &find(&autoscaler, "HorizontalPodAutoscaler", "academy")["spec"]["scaleTargetRef"];
    let resource =
        json!({"apiVersion": "presence.rs/v1alpha1", "kind": "PresenceCluster", "name": "academy"});
    assert_eq!(target, &resource);
}
