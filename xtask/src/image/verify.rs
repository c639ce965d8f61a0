//! Whether an image would run: its archive is read anew, every digest is checked, its layers are unpacked, and its program is
//! run in there, as the image's user, with nothing writable. It proves what a list of files cannot: that the loader finds all
//! libraries, and that names are resolved.
//!
//! What the kernel does for a container, `unshare` and `chroot` do here. As root all of it is proved; without, the program
//! runs as the root of a user namespace.

mod unpacked;
mod world;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use self::unpacked::Unpacked;
use self::world::World;
use super::products::Product;
use super::recipe::Built;
use crate::process;

/// No answer of a program takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Mounts the image's root read-only over itself, in a mount namespace of its own, and goes there. In a user namespace what
/// the mount below forbids has to be said again.
const ENTER: &str = r#"
    exec 2>&1
    mount --bind "$0" "$0" || exit
    mount -o remount,bind,ro "$0" 2>/dev/null || mount -o remount,bind,ro,nosuid,nodev "$0" || exit
    exec chroot "$@"
"#;

pub(super) fn verify(built: &Built, product: &Product) -> Result<()> {
    let image = Unpacked::read(&built.path)?;
    ensure!(image.digest == built.digest, "the archive has another digest: {}", image.digest);
    println!("{}: every digest is that of its bytes", product.name);
    let said = Run::of(&image).expect_success(&["--version"])?;
    ensure!(said.starts_with(product.name), "`--version` says `{}`", said.trim());
    println!("{}: runs as {}, with nothing writable: {}", product.name, who(&image), said.trim());
    for words in product.asks {
        Run::of(&image).expect_success(words)?;
    }
    if let Some(dial) = product.dial {
        names_resolve(&image, dial)?;
        println!("{}: resolves names, from /etc/hosts and by DNS", product.name);
    }
    Ok(())
}

fn who(image: &Unpacked) -> &str {
    if is_root() { &image.user } else { "the root of a user namespace" }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Lets the program call a server by name. Whether it likes the answer is no matter: that it came is the proof.
fn names_resolve(image: &Unpacked, dial: fn(&str) -> Vec<String>) -> Result<()> {
    let hosts = format!("127.0.0.1 {}\n", world::IN_HOSTS);
    std::fs::write(image.root().join("etc/hosts"), hosts).context("write /etc/hosts")?;
    let by_dns = is_root();
    let world = World::open(by_dns)?;
    if by_dns {
        let resolv = format!("nameserver {}\noptions timeout:1 attempts:2\n", world::RESOLVER);
        std::fs::write(image.root().join("etc/resolv.conf"), resolv).context("write /etc/resolv.conf")?;
    } else {
        println!("only root can stand in for a DNS server: names of /etc/hosts alone are proved");
    }
    let names = [world::IN_HOSTS, world::IN_DNS];
    for name in names.iter().take(if by_dns { 2 } else { 1 }) {
        let before = world.calls();
        let words = dial(&format!("http://{name}:{}", world.port()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = Run::of(image).output(&words)?.1;
        if world.calls() == before {
            bail!("the program did not find {name}; it says: {}", said.trim());
        }
    }
    ensure!(!by_dns || world.was_asked(), "the name was found, but not by DNS");
    Ok(())
}

struct Run<'a> {
    image: &'a Unpacked,
}

impl<'a> Run<'a> {
    fn of(image: &'a Unpacked) -> Self {
        Self { image }
    }

    fn expect_success(&self, words: &[&str]) -> Result<String> {
        let (good, said) = self.output(words)?;
        if !good {
            bail!(
                "`{} {}` fails in the image; it says: {}",
                self.image.entrypoint,
                words.join(" "),
                said.trim()
            );
        }
        Ok(said)
    }

    /// Whether it succeeded, and what it said on stdout and stderr.
    fn output(&self, words: &[&str]) -> Result<(bool, String)> {
        let root = self.image.root();
        let mut command = Command::new("unshare");
        command.env_clear().envs(&self.image.env);
        if !is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", ENTER]).arg(&root);
        if is_root() {
            command.arg(format!("--userspec={}", self.image.user));
        }
        command.arg(&root).arg(&self.image.entrypoint).args(words);
        let mut said = String::new();
        let status = process::stream(&mut command, Some(LIMIT), |line| {
            said.push_str(line);
            said.push('\n');
        })?;
        Ok((status.success(), said))
    }
}
