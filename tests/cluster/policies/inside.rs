//! The network of a pod, from the inside: whoever is asked here sends its packets from the pod's own address. A process of the
//! host enters it, so the pod itself needs no shell, and nothing of it is changed; that takes a cluster of this machine.

use presence_tests::{
    Context, Result, bail, ensure,
    kube::{Kind, Place, path},
};
use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

/// One of a pod's processes holds its network; any will do.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub(crate) name: String,
    pub(crate) address: String,
    network: PathBuf,
}

impl Inside {
    /// Of a pod that runs in this place.
    pub(crate) async fn of(place: &Place, name: &str) -> Result<Self> {
        place
            .kube
            .eventually(&format!("{name} to run"), async || {
                let pod = place.get(Kind::Pod, name).await?;
                let uid = pod.metadata.uid.as_deref().context("a pod has a uid")?;
                ensure!(path(&pod, "/status/phase")? == "Running", "it does not");
                let address = path(&pod, "/status/podIP")?.as_str().context("an address is text")?.to_owned();
                Ok(Self { name: name.to_owned(), address, network: network_of(uid)? })
            })
            .await
    }

    pub(crate) fn at(&self, port: u16) -> Result<SocketAddr> {
        Ok(SocketAddr::new(self.address.parse().context("a pod has an address")?, port))
    }

    /// Whether a connection is taken there. What a policy refuses is prohibited, which is not what a closed port answers, or nobody.
    pub(crate) fn reaches(&self, to: SocketAddr) -> Result<bool> {
        let target = format!("TCP:{to},connect-timeout=10");
        let output = self.socat(&["-u", "/dev/null", &target]).output().context("run socat")?;
        verdict(&output).with_context(|| format!("{} connects to {to}", self.name))
    }

    /// Whether a name is answered for, by UDP.
    pub(crate) fn resolves(&self, dns: SocketAddr) -> Result<bool> {
        // `kubernetes.default.svc.cluster.local`, type A.
        let mut question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
        for label in ["kubernetes", "default", "svc", "cluster", "local"] {
            question.push(u8::try_from(label.len()).context("labels are short")?);
            question.extend(label.as_bytes());
        }
        question.extend(b"\x00\x00\x01\x00\x01");
        let target = format!("UDP:{dns}");
        let mut asking = self
            .socat(&["-t2", "-", &target])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run socat")?;
        asking.stdin.take().context("it was piped")?.write_all(&question).context("ask")?;
        let output = asking.wait_with_output().context("hear the answer")?;
        Ok(output.stdout.starts_with(b"\x12\x34"))
    }

    /// Takes every connection at a port of the pod, for as long as it lives.
    pub(crate) fn listen(&self, port: u16) -> Result<Listener> {
        let source = format!("TCP-LISTEN:{port},reuseaddr,fork");
        let child = self.socat(&["-u", &source, "OPEN:/dev/null"]).stdin(Stdio::null()).spawn();
        Ok(Listener(child.context("run socat")?))
    }

    fn socat(&self, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.network.display())).args(["--", "socat"]).args(args);
        command
    }
}

#[derive(Debug)]
pub(crate) struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn verdict(output: &Output) -> Result<bool> {
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(true),
        false if said.contains("No route to host") => Ok(false),
        false => bail!("neither taken nor prohibited: {said}"),
    }
}

/// Kubelets name a pod's cgroup after its uid.
fn network_of(uid: &str) -> Result<PathBuf> {
    let of_pod = format!("pod{uid}");
    for entry in fs::read_dir("/proc").context("list processes")?.flatten() {
        let process = entry.path();
        // Most of what is listed is no process, and some end meanwhile.
        let Ok(cgroups) = fs::read_to_string(process.join("cgroup")) else { continue };
        if cgroups.contains(&of_pod) {
            return Ok(process.join("ns/net"));
        }
    }
    bail!("no process of this machine is in {of_pod}")
}

/// A pod that does nothing, with these labels, on this node.
pub(crate) async fn stranger(
    place: &Place,
    name: &str,
    node: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Inside> {
    place
        .apply(&serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels },
            "spec": {
                "nodeSelector": { "kubernetes.io/hostname": node },
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    // Every node of a cluster of ours has it.
                    "name": "pause", "image": "presence.test/pause:testbed", "imagePullPolicy": "Never",
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                    },
                }],
            },
        }))
        .await?;
    Inside::of(place, name).await
}
