//! The corpora of the fuzz targets, played through the very functions that the targets call.

use presence::doors::socketio::{assembler, engine_packet, packet};
use std::{
    fs,
    panic::{RefUnwindSafe, catch_unwind},
    path::Path,
};

pub mod properties;

/// Each file by itself, so that all that fail are named.
fn play(layer: &str, target: impl Fn(&[u8]) + RefUnwindSafe) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(layer);
    let files = fs::read_dir(&folder).expect("the corpus lies beside this test");
    let files: Vec<_> = files.map(|file| file.expect("a folder can be read").path()).collect();
    assert!(files.len() > 20, "{} holds no more than {} files", folder.display(), files.len());
    let failed = files.into_iter().filter(|file| {
        let input = fs::read(file).expect("a file of the corpus can be read");
        catch_unwind(|| target(&input)).is_err()
    });
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn packets_of_engine_io_are_sound() {
    play("engine_io", properties::engine_io);
}

#[test]
fn packets_of_socket_io_are_sound() {
    play("socket_io", properties::socket_io);
}
