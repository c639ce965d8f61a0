//! The settings files of a cluster's components, as texts. Pure. Who needs which file is `plan.rs`'s.

use std::path::Path;

use serde_json::{Value, json};

use super::layout::{API_PORT, API_SERVER, API_SERVICE, DNS_SERVICE, State, pods_of};
use crate::tools::kubernetes::{COREDNS_IMAGE, PAUSE_IMAGE};

/// Every request when it has been answered, and a watch when it begins, too: who, what, with which outcome. No bodies, so
/// no secrets.
pub(crate) const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
";

/// Sysctls of the whole machine that a kubelet sets where they differ. It is shown that they do not, so that the host
/// keeps its own.
pub(crate) const PRETENDED: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Who makes NetworkPolicies count; `first_objects` has its rights.
const POLICIES: &str = "system:policies";

/// Whoever needs a certificate: file, user, groups. The API server's and those of nodes are beside them.
const USERS: [(&str, &str, &[&str]); 6] = [
    ("admin", "admin", &["system:masters"]),
    ("controller-manager", "system:kube-controller-manager", &[]),
    ("scheduler", "system:kube-scheduler", &[]),
    ("proxy", "system:kube-proxy", &[]),
    ("policies", POLICIES, &[]),
    // The API server, as the kubelets see it.
    ("kubelet-client", "kube-apiserver-kubelet-client", &["system:masters"]),
];

/// What `machines pki` is asked for.
pub(crate) fn identities(nodes: &[String]) -> Value {
    let mut all: Vec<Value> = USERS
        .iter()
        .map(|(name, user, groups)| json!({"name": name, "user": user, "groups": groups}))
        .collect();
    all.push(json!({
        "name": "apiserver", "user": "kube-apiserver",
        "hosts": [API_SERVER, API_SERVICE, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default",
                  "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"],
    }));
    for node in nodes {
        all.push(json!({"name": node, "user": format!("system:node:{node}"), "groups": ["system:nodes"]}));
    }
    Value::Array(all)
}

/// JSON is YAML, too.
pub(crate) fn kubeconfig(state: &State, who: &str) -> Value {
    let cluster = json!({
        "server": format!("https://{API_SERVER}:{API_PORT}"), "certificate-authority": state.pki("ca.crt"),
    });
    let user = json!({
        "client-certificate": state.pki(&format!("{who}.crt")), "client-key": state.pki(&format!("{who}.key")),
    });
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": state.name,
        "clusters": [{"name": state.name, "cluster": cluster}],
        "users": [{"name": who, "user": user}],
        "contexts": [{"name": state.name, "context": {"cluster": state.name, "user": who}}],
    })
}

/// Without `CAP_SYS_RESOURCE` no process may be made less likely to be killed than we are: hence `restrict_oom_score_adj`.
pub(crate) fn containerd(cni: &Path, plugins: &Path) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{}"
    conf_dir = "{}"
"#,
        plugins.display(),
        cni.display()
    )
}

/// Of the machine's plugins, those that are called; the last one of a pod's is our own.
pub(crate) const PLUGINS: [&str; 3] = ["bridge", "host-local", "loopback"];

/// One bridge per node; hairpin, so that a pod reaches itself through its Service. Then `policies` waits until the pod's
/// address is one that it judges.
pub(crate) fn cni(index: u8) -> Value {
    json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [{
        "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": pods_of(index)}]], "routes": [{"dst": "0.0.0.0/0"}],
                 // Forgotten at a power loss, like the pods that had the addresses.
                 "dataDir": "/run/cni"},
    }, {"type": "policies"}]})
}

pub(crate) fn kubelet(state: &State, node: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{}/{node}", state.cgroup()), "cgroupsPerQOS": true,
        "failCgroupV1": false, "failSwapOn": false, "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": state.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [DNS_SERVICE], "clusterDomain": "cluster.local", "resolvConf": "/dev/null",
        // The machine is shared with much else, and nodes must not evict for what is not theirs.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100, "nodeStatusUpdateFrequency": "2s",
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
    })
}

/// There is no world outside to forward to: what is not of the cluster, is not. In a block of its own, because `template`
/// comes before `kubernetes` whatever the order here.
const COREFILE: &str = "\
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 5
    }
    prometheus :9153
    cache 5
    loadbalance
}
.:53 {
    errors
    template ANY ANY {
        rcode NXDOMAIN
    }
}
";

/// What a cluster is given as soon as it answers. Rights come first: no pod starts without those of `policies`.
pub(crate) fn first_objects() -> Value {
    let items: Vec<Value> = policies().into_iter().chain(coredns()).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn may_watch(group: &str, resources: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]})
}

fn policies() -> [Value; 2] {
    const RBAC: &str = "rbac.authorization.k8s.io";
    [
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": POLICIES},
         "rules": [may_watch("", &["pods", "namespaces"]), may_watch("networking.k8s.io", &["networkpolicies"])]}),
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": POLICIES},
         "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": POLICIES},
         "subjects": [{"apiGroup": RBAC, "kind": "User", "name": POLICIES}]}),
    ]
}

/// `CoreDNS` as a Deployment with its Service.
fn coredns() -> Vec<Value> {
    let meta = json!({"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}});
    let dns = |name: &str, protocol: &str| json!({"name": name, "port": 53, "targetPort": name, "protocol": protocol});
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
         "metadata": {"name": "system:coredns"},
         "rules": [may_watch("", &["endpoints", "services", "pods", "namespaces"]),
                   may_watch("discovery.k8s.io", &["endpointslices"])]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
         "metadata": {"name": "system:coredns"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
         "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}]}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": COREFILE}}),
        json!({"apiVersion": "v1", "kind": "Service",
         "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
         "spec": {"clusterIP": DNS_SERVICE, "selector": {"k8s-app": "kube-dns"},
                  "ports": [dns("dns", "UDP"), dns("dns-tcp", "TCP")]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": coredns_deployment()}),
    ]
}

/// Two, on two nodes: names must resolve while a node is lost.
fn coredns_deployment() -> Value {
    let labels = json!({"k8s-app": "kube-dns"});
    let probe = |path: &str, port: u16| json!({"httpGet": {"path": path, "port": port}, "periodSeconds": 2});
    let container = json!({
        "name": "coredns", "image": COREDNS_IMAGE, "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"},
                  {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "170Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": true}],
        "readinessProbe": probe("/ready", 8181), "livenessProbe": probe("/health", 8080),
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]}},
    });
    json!({"replicas": 2, "selector": {"matchLabels": labels}, "template": {
        "metadata": {"labels": labels},
        "spec": {
            "serviceAccountName": "coredns", "priorityClassName": "system-cluster-critical", "dnsPolicy": "Default",
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels}}],
            "containers": [container],
            "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
        },
    }})
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn state() -> State {
        State { name: "one".into(), folder: PathBuf::from("/cache/clusters/one") }
    }

    #[test]
    fn each_node_has_its_own_identity_cgroup_and_pods() {
        let all = identities(&["node1".into(), "node2".into()]);
        let users: Vec<&str> = all.as_array().unwrap().iter().filter_map(|it| it["user"].as_str()).collect();
        assert!(users.contains(&"system:node:node2") && users.contains(&"kube-apiserver"), "{users:?}");
        let root = kubelet(&state(), "node2")["cgroupRoot"].clone();
        assert_eq!(root, format!("/{}/node2", state().cgroup()));
        assert_eq!(cni(2)["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.98.2.0/24");
    }

    #[test]
    fn only_the_api_server_may_be_reached_by_a_name() {
        for identity in identities(&["node1".into()]).as_array().unwrap() {
            assert_eq!(identity.get("hosts").is_some(), identity["name"] == "apiserver", "{identity}");
        }
    }

    #[test]
    fn a_kubeconfig_points_at_its_own_keys() {
        let it = kubeconfig(&state(), "scheduler");
        assert_eq!(it["users"][0]["user"]["client-key"], "/cache/clusters/one/pki/scheduler.key");
        assert_eq!(it["clusters"][0]["cluster"]["server"], "https://10.99.0.1:6443");
        assert_eq!(it["current-context"], it["contexts"][0]["name"]);
    }

    #[test]
    fn the_audit_log_has_no_bodies() {
        assert_eq!(AUDIT_POLICY.matches("level:").count(), 1);
        assert!(AUDIT_POLICY.contains("level: Metadata"));
    }
}
