//! A tree as one layer: a tar file, gzipped or not, whose bytes follow from the tree alone (no times, no names of users,
//! one order). It lies in a temporary file until the archive takes it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::tree::{Entry, Kind, Tree};
use crate::process;

#[derive(Debug)]
pub(super) struct Layer {
    /// As it is in the archive.
    pub(super) blob: File,
    pub(super) digest: String,
    pub(super) bytes: u64,
    /// Of the tar file inside.
    pub(super) diff_id: String,
    pub(super) unpacked: u64,
    pub(super) media_type: &'static str,
}

impl Layer {
    /// Temporary files lie in `scratch`, and are gone when the layer is.
    pub(super) fn write(tree: &Tree, gzip: bool, scratch: &Path) -> Result<Self> {
        let file =
            tempfile::tempfile_in(scratch).with_context(|| format!("write to {}", scratch.display()))?;
        let blob = Hashing::new(io::BufWriter::new(file));
        let (blob, tar) = if gzip {
            // The header has neither a time nor a name.
            let zip = GzBuilder::new().mtime(0).write(blob, Compression::best());
            let (zip, tar) = pack(tree, Hashing::new(zip))?.parts();
            (zip.finish().context("finish the layer")?, tar)
        } else {
            let blob = pack(tree, blob)?;
            let tar = blob.sum.clone();
            (blob, tar)
        };
        let (file, blob) = blob.parts();
        let mut file = file.into_inner().context("finish the layer")?;
        file.rewind().context("rewind the layer")?;
        let media_type = if gzip {
            "application/vnd.oci.image.layer.v1.tar+gzip"
        } else {
            "application/vnd.oci.image.layer.v1.tar"
        };
        let (digest, bytes) = (blob.digest(), blob.bytes);
        Ok(Self { blob: file, digest, bytes, diff_id: tar.digest(), unpacked: tar.bytes, media_type })
    }
}

fn pack<W: Write>(tree: &Tree, to: W) -> Result<W> {
    let mut tar = Builder::new(to);
    for (path, entry) in tree.entries() {
        process::check_interrupted()?;
        append(&mut tar, path, entry).with_context(|| format!("put /{path} into the layer"))?;
    }
    tar.into_inner().context("finish the tar file")
}

fn append(tar: &mut Builder<impl Write>, path: &str, entry: &Entry) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.into());
    header.set_gid(entry.owner.into());
    header.set_mtime(0);
    header.set_size(0);
    match &entry.kind {
        Kind::Dir => {
            header.set_entry_type(EntryType::Directory);
            tar.append_data(&mut header, format!("{path}/"), io::empty())?;
        }
        Kind::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, path, target)?;
        }
        Kind::Text(text) => {
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_slice())?;
        }
        Kind::File(from) => {
            let file = File::open(from).with_context(|| format!("open {}", from.display()))?;
            let size = file.metadata()?.len();
            header.set_size(size);
            // A file that changes its size meanwhile would spoil what follows.
            let copied = Exactly { left: size, file };
            tar.append_data(&mut header, path, copied)?;
        }
    }
    Ok(())
}

/// Reads as many bytes as were promised, and fails where there are fewer; what has grown meanwhile is cut.
struct Exactly {
    left: u64,
    file: File,
}

impl io::Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let want = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut into[..want])?;
        if read == 0 && want > 0 {
            return Err(io::Error::other("the file became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Counts and digests what passes.
#[derive(Debug)]
pub(super) struct Hashing<W> {
    to: W,
    sum: Sum,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Sum {
    sha: Sha256,
    pub(super) bytes: u64,
}

impl Sum {
    pub(super) fn digest(&self) -> String {
        format!("sha256:{:x}", self.sha.clone().finalize())
    }

    pub(super) fn of(bytes: &[u8]) -> String {
        format!("sha256:{:x}", Sha256::digest(bytes))
    }
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, sum: Sum::default() }
    }

    pub(super) fn parts(self) -> (W, Sum) {
        (self.to, self.sum)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.sha.update(&bytes[..written]);
        self.sum.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn layer(gzip: bool) -> Layer {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.put("/tmp", Entry::dir(0o1777, 0)).unwrap();
        tree.put("/var/lib/presence", Entry::dir(0o700, 65532)).unwrap();
        tree.put("/etc/passwd", Entry::text("root")).unwrap();
        tree.put("/lib", Entry::link("usr/lib")).unwrap();
        tree.put(&format!("/{}", "long/".repeat(40)), Entry::dir(0o755, 0)).unwrap();
        Layer::write(&tree, gzip, folder.path()).unwrap()
    }

    #[test]
    fn a_layer_says_what_it_is_and_nothing_of_the_machine() {
        let mut archive = tar::Archive::new(layer(false).blob);
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!(header.mtime().unwrap(), 0);
                assert_eq!(header.username_bytes().unwrap_or_default(), b"");
                let owner = header.uid().unwrap();
                assert_eq!(owner, header.gid().unwrap());
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), owner)
            })
            .collect();
        let expected = [
            ("etc/passwd".to_owned(), 0o644, 0),
            ("lib".to_owned(), 0o777, 0),
            ("long/".repeat(40), 0o755, 0),
            ("tmp/".to_owned(), 0o1777, 0),
            ("var/lib/presence/".to_owned(), 0o700, 65532),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_gzipped_layer_is_the_same_each_time() {
        assert_eq!(layer(true).digest, layer(true).digest);
        let mut start = [0; 10];
        layer(true).blob.read_exact(&mut start).unwrap();
        // Of the header's bytes: no flags (so no name), no time, and an unknown system.
        assert_eq!((start[3], &start[4..8], start[9]), (0, &[0; 4][..], 255));
    }

    #[test]
    fn digests_are_those_of_the_bytes() {
        let (mut plain, mut zipped) = (layer(false), layer(true));
        assert_eq!(plain.digest, plain.diff_id);
        assert_eq!(plain.diff_id, zipped.diff_id);
        for layer in [&mut plain, &mut zipped] {
            let mut bytes = Vec::new();
            layer.blob.read_to_end(&mut bytes).unwrap();
            assert_eq!(layer.bytes, bytes.len() as u64);
            assert_eq!(layer.digest, Sum::of(&bytes));
        }
        let mut unzipped = Vec::new();
        zipped.blob.rewind().unwrap();
        flate2::read::GzDecoder::new(zipped.blob).read_to_end(&mut unzipped).unwrap();
        assert_eq!(Sum::of(&unzipped), plain.digest);
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"four").unwrap();
        file.rewind().unwrap();
        let read = io::copy(&mut Exactly { left: 5, file }, &mut io::sink());
        assert!(read.is_err());
    }
}
