//! What only a file can do to us: fill the disk, be read by others, be opened again.

use super::stage::{A, B, HOUR, claim, classroom, key, release, replica};
use presence::{
    adapters::session_store_sqlite::{SqliteOptions, SqliteStore},
    ports::{
        Fault,
        session_store::{Replicas, SessionStore},
    },
};
use std::{path::Path, sync::Arc};
use tokio::task::JoinSet;

struct Served {
    store: Arc<SqliteStore>,
    running: JoinSet<()>,
}

async fn serve(options: &SqliteOptions) -> Served {
    let (store, run) = SqliteStore::open(options).await.unwrap();
    let mut running = JoinSet::new();
    running.spawn(run);
    Served { store, running }
}

#[tokio::test]
async fn a_full_disk_refuses_claims_and_loses_none_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let roomy = SqliteOptions::new(folder.path().join("presence.db"));
    let tight = SqliteOptions { max_bytes: Some(256 * 1024), ..roomy.clone() };
    let Served { store, running } = serve(&tight).await;
    store.register(&replica(A), HOUR).await.unwrap();
    let room = classroom("math");
    let mut acknowledged = Vec::new();
    let refused = loop {
        match store.claim(claim(&key(&format!("agent-{}", acknowledged.len()), "math"), A)).await {
            Ok(claimed) => acknowledged.push(claimed.held),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(refused, Fault::Unavailable { .. }), "{refused:?}");
    assert_eq!(store.roster(&room).await.unwrap().total, acknowledged.len() as u64);
    drop((store, running));
    let Served { store, running: _running } = serve(&roomy).await;
    assert_eq!(store.roster(&room).await.unwrap().total, acknowledged.len() as u64);
    for held in acknowledged {
        assert!(store.release(release(held)).await.unwrap());
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart_and_ids_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("presence.db"));
    let (ann, ben) = (key("ann", "math"), key("ben", "math"));
    let Served { store, running } = serve(&options).await;
    store.register(&replica(A), HOUR).await.unwrap();
    let first = store.claim(claim(&ann, A)).await.unwrap().held;
    let last = store.claim(claim(&ben, A)).await.unwrap().held;
    assert!(store.release(release(last)).await.unwrap());
    // No farewell: the process is gone.
    drop((store, running));
    let Served { store, running: _running } = serve(&options).await;
    assert_eq!(store.find(&ann).await.unwrap().map(|holder| holder.session_id), Some(first.session_id));
    store.register(&replica(B), HOUR).await.unwrap();
    assert!(store.claim(claim(&ben, B)).await.unwrap().held.session_id > last.session_id);
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("data/presence.db"));
    let Served { store, running: _running } = serve(&options).await;
    store.register(&replica(A), HOUR).await.unwrap();
    store.claim(claim(&key("ann", "math"), A)).await.unwrap();
    assert_eq!(mode(&folder.path().join("data")), 0o700);
    for file in ["presence.db", "presence.db-wal", "presence.db-shm"] {
        assert_eq!(mode(&folder.path().join("data").join(file)), 0o600, "{file}");
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    let options = SqliteOptions::new(in_the_way.join("presence.db"));
    let refused = SqliteStore::open(&options).await.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("unavailable"), "{refused}");
}
