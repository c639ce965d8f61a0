//! Which shared libraries a program is loaded with. Asks the loader itself (`ldd`), which runs none of the program.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Whether the file is a program or a library, rather than a script or data.
pub(super) fn is_elf(path: &Path) -> Result<bool> {
    let mut start = [0; 4];
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    match file.read_exact(&mut start) {
        Ok(()) => Ok(start == *b"\x7fELF"),
        // Shorter than four bytes.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// The libraries and the loader, by the paths that they have here; none for a static program.
pub(super) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let mut ldd = Command::new("ldd");
    ldd.arg(program).env("LC_ALL", "C").env_remove("LD_PRELOAD").env_remove("LD_LIBRARY_PATH");
    let done = ldd.stdin(Stdio::null()).output().context("run ldd, which comes with the C library")?;
    let said = String::from_utf8_lossy(&done.stdout);
    let complaint = String::from_utf8_lossy(&done.stderr);
    if complaint.contains("not a dynamic executable") || said.contains("statically linked") {
        return Ok(Vec::new());
    }
    if !done.status.success() {
        bail!("ldd does not understand {}: {}", program.display(), complaint.trim());
    }
    parse(&said).with_context(|| format!("what {} is loaded with", program.display()))
}

/// Lines are `NAME => PATH (ADDRESS)`, `PATH (ADDRESS)` for the loader, and `NAME (ADDRESS)` for the kernel's own.
fn parse(said: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in said.lines().map(str::trim) {
        let (name, path) = line.split_once(" => ").unwrap_or((line, line));
        if path.starts_with("not found") {
            bail!("the library {name} is not found");
        }
        let path = path.rsplit_once(" (0x").map_or(path, |(path, _)| path);
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_read() {
        let said = "\tlinux-vdso.so.1 (0x00007f08dda63000)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x00007f08)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f08dda65000)\n";
        let expected = [PathBuf::from("/lib/x/libm.so.6"), PathBuf::from("/lib64/ld-linux-x86-64.so.2")];
        assert_eq!(parse(said).unwrap(), expected);
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibz.so.1 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libz.so.1"), "{error}");
    }

    #[test]
    fn a_shell_is_a_program_with_a_c_library_and_a_loader() {
        let shell = Path::new("/bin/sh").canonicalize().unwrap();
        assert!(is_elf(&shell).unwrap());
        let names: Vec<String> =
            libraries(&shell).unwrap().iter().map(|path| path.display().to_string()).collect();
        assert!(names.iter().any(|name| name.contains("/libc.")), "{names:?}");
        assert!(names.iter().any(|name| name.contains("/ld-")), "{names:?}");
        assert!(!is_elf(Path::new("/dev/null")).unwrap());
    }
}
