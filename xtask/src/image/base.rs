//! The base layer: what any program needs of a system. Two images whose programs need the C library share it byte for
//! byte, so a node fetches it once.
//!
//! A program brings the rest of its libraries in a layer of its own (`recipe.rs`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::closure;
use super::tree::{Entry, MERGED, Tree, text};

/// Nobody in particular: what distroless images call `nonroot`.
pub(super) const USER: u32 = 65532;
pub(super) const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where Debian's package keeps them one by one.
const AUTHORITIES: &str = "/usr/share/ca-certificates/mozilla";

const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\n\
                      presence:x:65532:65532:presence:/:/sbin/nologin\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\npresence:x:65532:\nnogroup:x:65534:\n";
/// Without it, the C library would ask files alone, or modules that are not here.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n";

/// What the C library opens by itself when a name is looked up; since 2.34 most of it is built in, so each may be absent.
const OPENED_LATER: [&str; 4] = ["libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2", "libpthread.so.0"];
/// What programs of Rust and C are linked with. The base has them all, whether a program needs each or not: it is one base.
const LINKED: [&str; 4] = ["libgcc_s.so.1", "libm.so.6", "libc.so.6", "libdl.so.2"];

/// Folders and files without which few programs run. With `c_library` (a program's `libc.so.6`), what belongs to it, too.
pub(super) fn tree(c_library: Option<&Path>) -> Result<Tree> {
    let mut tree = Tree::default();
    for merged in MERGED {
        tree.put(&format!("/{merged}"), Entry::link(format!("usr/{merged}")))?;
        tree.put(&format!("/usr/{merged}"), Entry::dir(0o755, 0))?;
    }
    for folder in ["/dev", "/etc", "/etc/ssl", "/etc/ssl/certs", "/proc", "/run", "/sys", "/usr", "/var"] {
        tree.put(folder, Entry::dir(0o755, 0))?;
    }
    tree.put("/tmp", Entry::dir(0o1777, 0))?;
    tree.put("/etc/passwd", Entry::text(PASSWD))?;
    tree.put("/etc/group", Entry::text(GROUP))?;
    tree.put("/etc/nsswitch.conf", Entry::text(NSSWITCH))?;
    tree.put(CERTIFICATES, Entry::text(certificates(Path::new(AUTHORITIES))?))?;
    if let Some(c_library) = c_library {
        let folder = c_library.parent().context("the C library lies in a folder")?;
        let named = LINKED.iter().chain(&OPENED_LATER).map(|name| folder.join(name));
        for library in named.filter(|path| path.exists()) {
            add_library(&mut tree, &library, folder)?;
            for needed in closure::libraries(&library)? {
                add_library(&mut tree, &needed, folder)?;
            }
        }
    }
    Ok(tree)
}

/// The authorities of the package alone. This machine's own bundle may have others, which somebody added for this machine:
/// those have no business in an image.
fn certificates(folder: &Path) -> Result<String> {
    let missing = || format!("list {}: install the package ca-certificates", folder.display());
    let entries = fs::read_dir(folder).with_context(missing)?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
    paths.sort_unstable();
    let mut bundle = String::new();
    for path in &paths {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        bundle.push_str(text.trim_end());
        bundle.push('\n');
    }
    ensure!(!bundle.is_empty(), "{} has no certificates", folder.display());
    Ok(bundle)
}

/// Puts a library where it lies here. One that lies elsewhere than the loader looks by itself is found here through the
/// program's run path or a cache of the loader; in the image a link beside the C library makes it found.
pub(super) fn add_library(tree: &mut Tree, library: &Path, default: &Path) -> Result<()> {
    let name = text(Path::new(library.file_name().context("a library has a name")?))?;
    let found = |path: &Path| path.canonicalize().with_context(|| format!("find {}", path.display()));
    let folder = found(library.parent().context("a library lies in a folder")?)?;
    let at = format!("{}/{name}", text(&folder)?);
    let mut entry = Entry::file(&found(library)?)?;
    // Debian's libraries are not marked as programs, except the loader: which of them are is no matter of content.
    entry.mode = 0o755;
    tree.put(&at, entry)?;
    let default = found(default)?;
    let searched: [PathBuf; 3] = [default.clone(), "/usr/lib".into(), "/usr/lib64".into()];
    let beside = format!("{}/{name}", text(&default)?);
    if !searched.contains(&folder) && tree.get(&beside).is_none() {
        tree.put(&beside, Entry::link(at))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Kind;
    use super::*;

    #[test]
    fn authorities_are_those_of_the_package_in_one_order() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.crt", "B"), ("a.crt", "A\n\n"), ("README", "no")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(certificates(folder.path()).unwrap(), "A\nB\n");
        let error = certificates(&folder.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("install the package ca-certificates"), "{error}");
    }

    #[test]
    fn a_library_from_elsewhere_is_linked_to_where_the_loader_looks() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().canonicalize().unwrap().join(name);
        fs::create_dir(path("own")).unwrap();
        fs::create_dir(path("default")).unwrap();
        fs::write(path("own/libx.so.1.2"), "x").unwrap();
        std::os::unix::fs::symlink("libx.so.1.2", path("own/libx.so.1")).unwrap();
        let mut tree = Tree::default();
        add_library(&mut tree, &path("own/libx.so.1"), &path("default")).unwrap();
        let at = path("own/libx.so.1").display().to_string();
        assert_eq!(tree.get(&at).unwrap().kind, Kind::File(path("own/libx.so.1.2")));
        let link = tree.get(&path("default/libx.so.1").display().to_string()).unwrap();
        assert_eq!(link.kind, Kind::Link(at));
    }

    #[test]
    fn a_static_program_s_base_has_no_libraries() {
        let tree = tree(None).unwrap();
        assert!(tree.get("/etc/passwd").is_some() && tree.get(CERTIFICATES).is_some());
        assert!(!tree.entries().keys().any(|path| path.contains(".so")));
    }
}
