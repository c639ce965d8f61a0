//! The plan of a cluster, as `machines supervise` reads it (tests/cluster/testbed/machines/plan.go): its machines, and on
//! each what is mounted, routed and started, in which order. Pure.

use serde_json::{Value, json};

use super::layout::{API_PORT, API_SERVER, CONTROL, PODS, SERVICES, State, node_address, node_name, pods_of};
use super::settings::PRETENDED;
use crate::tools::kubernetes::Kubernetes;

/// A loopback address of the host, and the `NodePort` that it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) listen: String,
    pub(crate) node_port: u16,
}

impl Publication {
    /// The control plane's machine answers at `NodePorts` as nodes do, and is there as long as the cluster is.
    pub(crate) fn plan(&self) -> Value {
        json!({"listen": self.listen, "targets": [format!("{API_SERVER}:{}", self.node_port)]})
    }
}

pub(crate) struct Wish<'a> {
    pub(crate) state: &'a State,
    pub(crate) tools: &'a Kubernetes,
    pub(crate) nodes: u8,
    pub(crate) publish: &'a [Publication],
}

impl Wish<'_> {
    pub(crate) fn plan(&self) -> Value {
        let nodes = (1..=self.nodes).map(|index| self.node(index));
        let machines: Vec<Value> = std::iter::once(self.control()).chain(nodes).collect();
        let publish: Vec<Value> = self.publish.iter().map(Publication::plan).collect();
        json!({"cgroup": self.state.cgroup(), "machines": machines, "publish": publish})
    }

    fn service(&self, name: &str, args: Vec<String>) -> Value {
        let mut words = vec![self.tools.components.display().to_string(), name.to_owned()];
        words.extend(args);
        service(name, &words)
    }

    fn kubeconfig(&self, who: &str) -> String {
        format!("--kubeconfig={}", self.state.kubeconfig_of(who).display())
    }

    fn pki(&self, flag: &str, file: &str) -> String {
        format!("--{flag}={}", self.state.pki(file).display())
    }

    fn control(&self) -> Value {
        let mut routes: Vec<Value> = (1..=self.nodes).map(route_to_pods).collect();
        // Never taken: it is only there for kube-proxy to be asked, which happens after routing.
        routes.push(json!({"to": SERVICES, "via": ""}));
        json!({
            "name": CONTROL, "address": format!("{API_SERVER}/24"), "routes": routes,
            "mounts": self.mounts(CONTROL),
            "steps": [
                self.etcd(), self.api_server(), self.controller_manager(),
                self.service("kube-scheduler", vec![self.kubeconfig("scheduler"), "--leader-elect=false".into()]),
                // Not a node, but where Services are used from: commands that run inside, admission webhooks, published
                // ports. It answers for a node, because kube-proxy asks the API server for one.
                self.proxy(&node_name(1), API_SERVER),
            ],
        })
    }

    fn etcd(&self) -> Value {
        let listen = |what: &str, port: u16| format!("--{what}=http://127.0.0.1:{port}");
        self.service(
            "etcd",
            vec![
                "--data-dir=/var/lib/etcd".into(),
                "--log-level=warn".into(),
                "--unsafe-no-fsync".into(),
                listen("listen-client-urls", 2379),
                listen("advertise-client-urls", 2379),
                listen("listen-peer-urls", 2380),
            ],
        )
    }

    fn api_server(&self) -> Value {
        let file = |flag: &str, path: std::path::PathBuf| format!("--{flag}={}", path.display());
        self.service(
            "kube-apiserver",
            vec![
                "--etcd-servers=http://127.0.0.1:2379".into(),
                format!("--bind-address={API_SERVER}"),
                format!("--advertise-address={API_SERVER}"),
                format!("--secure-port={API_PORT}"),
                format!("--service-cluster-ip-range={SERVICES}"),
                self.pki("tls-cert-file", "apiserver.crt"),
                self.pki("tls-private-key-file", "apiserver.key"),
                self.pki("client-ca-file", "ca.crt"),
                self.pki("kubelet-client-certificate", "kubelet-client.crt"),
                self.pki("kubelet-client-key", "kubelet-client.key"),
                "--kubelet-preferred-address-types=InternalIP".into(),
                self.pki("service-account-key-file", "sa.pub"),
                self.pki("service-account-signing-key-file", "sa.key"),
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
                "--authorization-mode=Node,RBAC".into(),
                "--enable-admission-plugins=NodeRestriction".into(),
                "--allow-privileged=true".into(),
                "--anonymous-auth=false".into(),
                file("audit-policy-file", self.state.etc("audit-policy.yaml")),
                file("audit-log-path", self.state.audit_log()),
                // Never turned over, in tests: whoever reads it counts on all of it.
                "--audit-log-maxsize=4096".into(),
            ],
        )
    }

    fn controller_manager(&self) -> Value {
        self.service(
            "kube-controller-manager",
            vec![
                self.kubeconfig("controller-manager"),
                self.pki("service-account-private-key-file", "sa.key"),
                self.pki("root-ca-file", "ca.crt"),
                "--use-service-account-credentials".into(),
                "--leader-elect=false".into(),
                // A lost node is noticed after 10 s and not 50: tests wait for it.
                "--node-monitor-period=2s".into(),
                "--node-monitor-grace-period=10s".into(),
            ],
        )
    }

    fn proxy(&self, as_node: &str, address: &str) -> Value {
        self.service(
            "kube-proxy",
            vec![
                self.kubeconfig("proxy"),
                format!("--hostname-override={as_node}"),
                "--proxy-mode=nftables".into(),
                format!("--cluster-cidr={PODS}"),
                format!("--nodeport-addresses={address}/32"),
                // These are the whole machine's, and not to be written from a namespace.
                "--conntrack-max-per-core=0".into(),
                "--conntrack-tcp-timeout-established=0".into(),
                "--conntrack-tcp-timeout-close-wait=0".into(),
            ],
        )
    }

    fn node(&self, index: u8) -> Value {
        let (name, address) = (node_name(index), node_address(index));
        let mut routes: Vec<Value> =
            (1..=self.nodes).filter(|other| *other != index).map(route_to_pods).collect();
        routes.push(json!({"to": "0.0.0.0/0", "via": API_SERVER}));
        let mut mounts = self.mounts(&name);
        mounts.extend(PRETENDED.iter().map(|(sysctl, _)| {
            json!({"to": format!("/proc/sys/{sysctl}"), "from": self.state.etc("sysctl").join(sysctl)})
        }));
        let containerd = self.state.etc(&name).join("containerd.toml");
        let mut steps = vec![
            json!({"service": {"name": "containerd", "argv": [self.tools.containerd, "--config", containerd]}}),
            json!({"await": "/run/containerd/containerd.sock"}),
        ];
        steps.extend(self.tools.images.iter().map(
            |archive| json!({"run": [self.tools.ctr, "--namespace", "k8s.io", "images", "import", archive]}),
        ));
        steps.push(self.policies(index));
        steps.push(self.service(
            "kubelet",
            vec![
                format!("--config={}", self.state.etc(&name).join("kubelet.json").display()),
                self.kubeconfig(&name),
                format!("--hostname-override={name}"),
                format!("--node-ip={address}"),
            ],
        ));
        steps.push(self.proxy(&name, &address));
        json!({
            "name": name, "address": format!("{address}/24"), "routes": routes, "mounts": mounts,
            "has_cgroup": true, "steps": steps,
        })
    }

    /// Before the kubelet: pods get their network from both.
    fn policies(&self, index: u8) -> Value {
        let words = [
            self.tools.policies.display().to_string(),
            self.kubeconfig("policies"),
            format!("--node={}", node_name(index)),
            format!("--pods={}", pods_of(index)),
        ];
        service("policies", &words)
    }

    /// `/run` ends with the machine; the other two are its disk. Nothing else of the host is written to.
    fn mounts(&self, machine: &str) -> Vec<Value> {
        vec![
            json!({"to": "/run"}),
            json!({"to": "/var/lib", "from": self.state.disk(machine, "lib")}),
            json!({"to": "/var/log", "from": self.state.disk(machine, "log")}),
        ]
    }
}

fn service(name: &str, words: &[String]) -> Value {
    json!({"service": {"name": name, "argv": words}})
}

fn route_to_pods(index: u8) -> Value {
    json!({"to": pods_of(index), "via": node_address(index)})
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn plan(nodes: u8) -> Value {
        let state = State { name: "one".into(), folder: PathBuf::from("/cache/clusters/one") };
        let tools = Kubernetes {
            components: "/k".into(),
            machines: "/m".into(),
            policies: "/p".into(),
            kubectl: "/c".into(),
            images: vec!["/i.tar".into()],
            containerd: "/containerd".into(),
            ctr: "/ctr".into(),
        };
        let publish = [Publication { listen: "127.0.0.1:8080".into(), node_port: 30080 }];
        Wish { state: &state, tools: &tools, nodes, publish: &publish }.plan()
    }

    #[test]
    fn every_machine_reaches_the_pods_of_all_nodes_but_its_own_by_a_route() {
        let plan = plan(3);
        let machines = plan["machines"].as_array().unwrap();
        assert_eq!(machines.len(), 4);
        for machine in machines {
            let routes = machine["routes"].as_array().unwrap();
            let pods = routes.iter().filter(|it| it["to"].as_str().unwrap().starts_with("10.98.")).count();
            assert_eq!(pods, if machine["name"] == CONTROL { 3 } else { 2 }, "{machine}");
            assert!(machine["name"].as_str().unwrap().len() <= 12, "the name of its port has 15 bytes");
        }
    }

    #[test]
    fn a_node_has_its_images_before_its_kubelet() {
        let plan = plan(1);
        let steps = plan["machines"][1]["steps"].as_array().unwrap();
        let at = |wanted: &str| steps.iter().position(|step| step.to_string().contains(wanted)).unwrap();
        assert!(at("containerd.sock") < at("import") && at("import") < at("kubelet"));
    }

    #[test]
    fn a_published_port_reaches_its_node_port() {
        assert_eq!(plan(2)["publish"], json!([{"listen": "127.0.0.1:8080", "targets": ["10.99.0.1:30080"]}]));
    }
}
