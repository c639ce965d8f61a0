//! The harness of tier `cluster`: a real Kubernetes, by its API, kubectl and helm.
//!
//! A scenario gets a `Place`: a namespace of its own under Pod Security `restricted`, with a database, a stream and a
//! Redis prefix of its own, which goes when the scenario ends. What it leaves of wider reach it removes itself.

mod audit;
mod objects;
mod place;
mod process;
mod proxy;
mod release;
mod snapshot;

pub use audit::{Audit, Call};
pub use objects::{Kind, condition, name_of, path};
pub use place::{Place, SECRET, names};
pub use process::Operator;
pub use proxy::Proxy;
pub use release::{Release, chart};
pub use snapshot::{difference, snapshot};

use crate::{environment, wait};
use anyhow::{Context, Result, ensure};
use kube::{Client, Config, config::Kubeconfig};
use std::{
    fmt,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::sync::OnceCell;

/// A pod starts, a Job runs, an image is looked for: all of it beside other scenarios, on few cores.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// The cluster that the tests were given.
#[derive(Clone)]
pub struct Kube {
    pub client: Client,
    pub kubeconfig: PathBuf,
}

impl fmt::Debug for Kube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kube").field("kubeconfig", &self.kubeconfig).finish_non_exhaustive()
    }
}

impl Kube {
    pub async fn new() -> Result<Self> {
        let kubeconfig = environment::kubeconfig()?;
        let client = Client::try_from(config(&kubeconfig).await?)?;
        Ok(Self { client, kubeconfig })
    }

    /// One that tries nothing a second time: whoever asks through it is to see what the API server says.
    async fn plain_client(&self) -> Result<Client> {
        let mut config = config(&self.kubeconfig).await?;
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    /// The resource's own definition, which all places share.
    async fn ensure_crd(&self) -> Result<()> {
        static ONCE: OnceCell<()> = OnceCell::const_new();
        let brought = ONCE.get_or_try_init(async || {
            let crds = chart().join("files/crds");
            let crds = crds.to_str().context("a path is text")?;
            let how = ["--server-side", "--force-conflicts", "--field-manager=presence-tests"];
            self.kubectl(&[&["apply", "-f", crds][..], &how].concat()).await?;
            // Until it has any condition at all, kubectl will not wait for one.
            let known = ["wait", "--for=condition=Established", "crd/presenceclusters.presence.rs"];
            self.eventually("the kind to be known", async || self.kubectl(&known).await.map(drop)).await
        });
        brought.await.copied()
    }

    /// What kubectl prints; it must succeed.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let (ok, said) = self.program(environment::kubectl()?, args, None).await?;
        ensure!(ok, "kubectl {}: {said}", args.join(" "));
        Ok(said)
    }

    /// What kubectl says to a manifest, and whether it was taken.
    pub async fn kubectl_with(&self, args: &[&str], manifest: &str) -> Result<(bool, String)> {
        self.program(environment::kubectl()?, args, Some(manifest)).await
    }

    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        let (ok, said) = self.program(environment::helm()?, args, None).await?;
        ensure!(ok, "helm {}: {said}", args.join(" "));
        Ok(said)
    }

    async fn program(&self, program: PathBuf, args: &[&str], input: Option<&str>) -> Result<(bool, String)> {
        let mut command = Command::new(&program);
        command.args(args).env("KUBECONFIG", &self.kubeconfig);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.unwrap_or_default().to_owned();
        // kubectl and helm are told, where they wait, for how long.
        let ended = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn()?;
            child.stdin.take().expect("it was piped").write_all(input.as_bytes())?;
            child.wait_with_output()
        });
        let output = ended.await?.with_context(|| format!("run {}", program.display()))?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status.success(), said))
    }

    /// Looks until there is something to see, as long as pods may take.
    pub async fn eventually<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        wait::eventually_within(PATIENCE, what, async || {
            let seen = look().await;
            if seen.is_err() {
                // The API server is asked, which is not for free.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            seen
        })
        .await
    }
}

async fn config(kubeconfig: &std::path::Path) -> Result<Config> {
    let read = Kubeconfig::read_from(kubeconfig).context("read the kubeconfig")?;
    let config = Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default()).await;
    config.context("understand the kubeconfig")
}

/// Plays a scenario in a place of its own. Where it fails, all that is there is shown, and stays.
pub async fn scenario(name: &str, play: impl AsyncFnOnce(&Place) -> Result<()>) -> Result<()> {
    let place = Place::new(name).await?;
    finish(play(&place).await, place).await
}

/// The same for one that others could not bear.
pub async fn scenario_alone(name: &str, play: impl AsyncFnOnce(&Place) -> Result<()>) -> Result<()> {
    let place = Place::alone(name).await?;
    finish(play(&place).await, place).await
}

async fn finish(played: Result<()>, place: Place) -> Result<()> {
    match played {
        Ok(()) => place.leave().await,
        Err(error) => {
            let there = format!("{}:\n{}", place.namespace, place.state().await);
            Err(error.context(there))
        }
    }
}
