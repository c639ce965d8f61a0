//! What only PostgreSQL can do to us: be away, be lost half way, be of another schema, and give us a lesser role.

use super::{
    invariants,
    proxy::{Network, Proxy},
    stage::{A, B, HOUR, Stage, assert_unavailable, claim, classroom, connect, key, release},
};
use presence::{
    adapters::session_store_postgres::{PostgresOptions, PostgresStore},
    ports::{
        Fault,
        lessons::Lessons,
        session_store::{Audit, Claim, Claimed, Due, Outbox, Replicas, SessionStore},
    },
};
use presence_api::event::Operation::Entered;
use presence_core::page::Limit;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};

struct Served {
    store: Arc<PostgresStore>,
    _running: JoinSet<()>,
}

async fn serve(url: &str) -> Served {
    let options = PostgresOptions {
        max_connections: 4,
        timeout: Duration::from_secs(2),
        acquire_timeout: Duration::from_secs(1),
        ..PostgresOptions::new(url)
    };
    let (store, run) = PostgresStore::open(&options).await.unwrap();
    let mut running = JoinSet::new();
    running.spawn(run);
    Served { store, _running: running }
}

/// Asks until the store answers again.
async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Result<T, Fault>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(fault) => assert!(Instant::now() < deadline, "{what}: {fault:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// The backend that waits for a lock.
async fn blocked_backend(admin: &mut PgConnection) -> i32 {
    const WAITING: &str = "SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%claimed AS%'";
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(pid) = sqlx::query_scalar(WAITING).fetch_optional(&mut *admin).await.unwrap() {
            return pid;
        }
        assert!(Instant::now() < deadline, "no claim waits for the lock");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_unavailable_and_comes_back_without_reopening() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let proxy = Proxy::to(stage.url()).await;
            let Served { store, _running } = serve(&proxy.url).await;
            let key = key("ann", "math");
            let held = store.claim(claim(&key, A)).await.unwrap().held;
            proxy.set(Network::Cut);
            eventually("notice", async || match store.find(&key).await {
                Err(Fault::Unavailable { .. }) => Ok(()),
                other => Err(Fault::failed("the cut", format!("{other:?}"))),
            })
            .await;
            assert_unavailable(&store.claim(claim(&key, A)).await);
            assert_unavailable(&store.release(release(held)).await);
            assert_unavailable(&store.find(&key).await);
            assert_unavailable(&store.roster(&key.classroom_id).await);
            assert_unavailable(&store.attendance(&key.classroom_id, held.session_id, Limit::default()).await);
            assert_unavailable(&store.due(Due::Of(A), 1).await);
            assert_unavailable(&store.renew(A, HOUR).await);
            proxy.set(Network::Up);
            let holder = eventually("find", async || store.find(&key).await).await.unwrap();
            assert_eq!((holder.session_id, holder.generation), (held.session_id, held.generation));
            assert!(eventually("release", async || store.release(release(held)).await).await);
            assert_eq!(store.queued(), 0);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_answer_is_unavailable_within_the_timeout() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let proxy = Proxy::to(stage.url()).await;
            let Served { store, _running } = serve(&proxy.url).await;
            let key = key("ann", "math");
            let held = store.claim(claim(&key, A)).await.unwrap().held;
            proxy.set(Network::Mute);
            assert_unavailable(&store.find(&key).await);
            assert_unavailable(&store.release(release(held)).await);
            proxy.set(Network::Up);
            // Whether a release went through that was not heard of, nobody knows; its repetition settles it.
            eventually("release", async || store.release(release(held)).await).await;
            assert_eq!(store.find(&key).await.unwrap(), None);
            invariants::assert_hold(stage, &key.classroom_id).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_answer_was_lost_may_be_repeated() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let proxy = Proxy::to(stage.url()).await;
            let Served { store, _running } = serve(&proxy.url).await;
            let key = key("ann", "math");
            // The statement is prepared while the network still answers.
            let other = store.claim(claim(&super::stage::key("ben", "art"), A)).await.unwrap();
            proxy.set(Network::Mute);
            assert_unavailable(&store.claim(claim(&key, A)).await);
            let lost = stage.store.find(&key).await.unwrap().expect("the claim was committed");
            proxy.set(Network::Up);
            let claimed = eventually("claim", async || store.claim(claim(&key, A)).await).await;
            assert_eq!(claimed.held.session_id, lost.session_id);
            assert!(claimed.held.generation > lost.generation);
            assert_eq!(stage.events().await, [(Entered, other.held.session_id), (Entered, lost.session_id)]);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_backend_was_killed_may_be_repeated() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let Served { store, _running } = serve(stage.url()).await;
            let (mut admin, mut locker) = (connect(stage.url()).await, connect(stage.url()).await);
            let key = key("ann", "math");
            execute(&mut locker, "BEGIN; LOCK TABLE agent_session IN SHARE MODE").await;
            let kill = async {
                let pid = blocked_backend(&mut admin).await;
                execute(&mut admin, &format!("SELECT pg_terminate_backend({pid})")).await;
            };
            let (killed, ()) = tokio::join!(store.claim(claim(&key, A)), kill);
            assert_unavailable(&killed);
            execute(&mut locker, "ROLLBACK").await;
            let claimed = eventually("claim", async || store.claim(claim(&key, A)).await).await;
            assert_eq!(stage.events().await, [(Entered, claimed.held.session_id)]);
            assert_eq!(stage.stays(&key.classroom_id).await.len(), 1);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_waits_for_a_lock_too_long_is_given_up_by_the_server_too() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let Served { store, _running } = serve(stage.url()).await;
            let mut locker = connect(stage.url()).await;
            let key = key("ann", "math");
            execute(&mut locker, "BEGIN; LOCK TABLE agent_session IN SHARE MODE").await;
            assert_unavailable(&store.claim(claim(&key, A)).await);
            execute(&mut locker, "ROLLBACK").await;
            let claimed = eventually("claim", async || store.claim(claim(&key, B)).await).await;
            assert_eq!(claimed.previous, None, "the claim that was given up went through later");
        })
        .await;
}

/// The statement's own snapshot is from before it waited for the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_sees_what_was_committed_while_it_waited_for_the_row() {
    const LATER: &str = "INSERT INTO agent_session_history
        SELECT 1000000, agent_id, classroom_id, replica_id, tstzrange(now(), now() + interval '1 minute')
        FROM agent_session";
    Stage::postgres()
        .await
        .play(async |stage| {
            let Served { store, _running } = serve(stage.url()).await;
            let (mut admin, mut locker) = (connect(stage.url()).await, connect(stage.url()).await);
            let key = key("ann", "math");
            let first = stage.claim(&key, A).await.held;
            // A former stay of the same key goes to history meanwhile.
            execute(&mut locker, "BEGIN; SELECT FROM agent_session FOR UPDATE").await;
            let meanwhile = async {
                blocked_backend(&mut admin).await;
                execute(&mut locker, &format!("{LATER}; COMMIT")).await;
            };
            let (second, ()) = tokio::join!(store.claim(claim(&key, B)), meanwhile);
            let second = second.unwrap().held;
            assert_ne!(second.session_id, first.session_id);
            invariants::assert_stays_are_disjoint(stage, &key.classroom_id).await;
            // The holder begins to drain meanwhile.
            execute(&mut locker, "BEGIN; SELECT FROM agent_session FOR UPDATE").await;
            let meanwhile = async {
                blocked_backend(&mut admin).await;
                execute(&mut locker, "UPDATE replica SET draining = true; COMMIT").await;
            };
            let (third, ()) = tokio::join!(store.claim(claim(&key, A)), meanwhile);
            assert_eq!(third.unwrap().held.session_id, second.session_id);
        })
        .await;
}

/// On one thread, both claims share a statement: one waits for its row, and the other comes after it.
#[tokio::test]
async fn a_claim_whose_lease_lapses_while_it_waits_takes_nothing() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let (ann, ben) = (key("ann", "math"), key("ben", "math"));
            let held = stage.claim(&ann, B).await.held;
            let Served { store, _running } = serve(stage.url()).await;
            let (mut admin, mut locker) = (connect(stage.url()).await, connect(stage.url()).await);
            execute(&mut locker, "BEGIN; SELECT FROM agent_session FOR UPDATE").await;
            let meanwhile = async {
                blocked_backend(&mut admin).await;
                execute(&mut admin, &format!("UPDATE replica SET lease_until = now() WHERE id = '{A}'"))
                    .await;
                execute(&mut locker, "ROLLBACK").await;
            };
            let claims = async { tokio::join!(store.claim(claim(&ann, A)), store.claim(claim(&ben, A))) };
            let ((late, later), ()) = tokio::join!(claims, meanwhile);
            assert_unavailable(&late);
            assert_unavailable(&later);
            assert_eq!(store.held(A).await.unwrap(), []);
            assert_eq!(store.held(B).await.unwrap(), [held]);
            assert_eq!(stage.events().await, [(Entered, held.session_id)]);
        })
        .await;
}

/// On one thread, both claims are asked for before the first is begun, so they share a statement.
#[tokio::test]
async fn a_deadlock_with_somebody_else_is_lost_and_tried_again() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let (ann, ben) = (key("ann", "math"), key("ben", "math"));
            stage.claim(&ann, A).await;
            stage.claim(&ben, A).await;
            let Served { store, _running } = serve(stage.url()).await;
            let (mut admin, mut other) = (connect(stage.url()).await, connect(stage.url()).await);
            // It waits longer before it looks for a deadlock, so that ours is the one that is found.
            execute(&mut other, "SET deadlock_timeout = '1min'; BEGIN").await;
            execute(
                &mut other,
                "SELECT FROM agent_session WHERE agent_id = 'web.ben.school.example' FOR UPDATE",
            )
            .await;
            let cross = async {
                blocked_backend(&mut admin).await;
                execute(
                    &mut other,
                    "SELECT FROM agent_session WHERE agent_id = 'web.ann.school.example' FOR UPDATE",
                )
                .await;
                execute(&mut other, "ROLLBACK").await;
            };
            let claims = async { tokio::join!(store.claim(claim(&ann, B)), store.claim(claim(&ben, B))) };
            let ((ann_claimed, ben_claimed), ()) = tokio::join!(claims, cross);
            let generation = |claimed: Result<Claimed, Fault>| claimed.unwrap().held.generation.0;
            assert_eq!((generation(ann_claimed), generation(ben_claimed)), (2, 2));
            invariants::assert_hold(stage, &classroom("math")).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_ddl_can_serve() {
    const GRANTS: &str = include_str!("../../../../migrations/postgres/grants.sql");
    Stage::postgres()
        .await
        .play(async |stage| {
            let mut admin = connect(stage.url()).await;
            let role = url::Url::parse(stage.url()).unwrap().path().replace('/', "role_");
            execute(&mut admin, &format!("CREATE ROLE {role} LOGIN PASSWORD 'lesser'")).await;
            execute(&mut admin, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
            execute(&mut admin, &GRANTS.replace("presence_server", &role)).await;
            let mut url = url::Url::parse(stage.url()).unwrap();
            url.set_username(&role).unwrap();
            url.set_password(Some("lesser")).unwrap();
            let served = serve(url.as_str()).await;
            let store = &served.store;
            let key = key("ann", "math");
            let fence = store.register(&super::stage::replica(A), HOUR).await.unwrap();
            let first = store.claim(Claim { fence, ..claim(&key, A) }).await.unwrap().held;
            store.shed(&[first]).await.unwrap();
            let held = store.claim(claim(&key, B)).await.unwrap().held;
            assert_eq!((store.held(B).await.unwrap(), store.draining().await.unwrap()), (vec![held], 0));
            assert!(store.release(release(held)).await.unwrap());
            assert_eq!(store.roster(&key.classroom_id).await.unwrap().total, 0);
            store.set_draining(A, true).await.unwrap();
            assert!(store.renew(A, HOUR).await.unwrap());
            store.retire(A).await.unwrap();
            let due = store.due(Due::OlderThan(Duration::ZERO), 10).await.unwrap();
            store.published(&[due[0].position]).await.unwrap();
            store.trim().await.unwrap();
            assert_eq!(store.audit(HOUR, 10).await.unwrap(), []);
            assert_eq!(store.lesson(&key.classroom_id, &"ann".parse().unwrap()).await.unwrap(), None);
            drop(served);
            execute(&mut admin, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
            admin.close().await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_without_the_password() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [
        format!("postgres://presence:s3cret@{nobody}/presence"),
        format!("postgres://presence:s3cret@{nobody}/presence?sslmode=s3cret"),
        "postgres://presence:s3cret@presence.invalid/presence".to_owned(),
    ] {
        let options =
            PostgresOptions { acquire_timeout: Duration::from_millis(300), ..PostgresOptions::new(url) };
        let Err(error) = PostgresStore::open(&options).await else { panic!("opened nothing") };
        let shown = format!("{error} {error:?} {options:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_waits_for_nobody_when_every_other_connection_is_taken() {
    const TAKEN: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%agent_session%'";
    Stage::postgres()
        .await
        .play(async |stage| {
            let Served { store, _running } = serve(stage.url()).await;
            let (mut admin, mut locker) = (connect(stage.url()).await, connect(stage.url()).await);
            execute(&mut locker, "BEGIN; LOCK TABLE agent_session").await;
            let mut finds = JoinSet::new();
            for _ in 0..8 {
                let store = store.clone();
                finds.spawn(async move { store.find(&key("ann", "math")).await });
            }
            let deadline = Instant::now() + Duration::from_secs(30);
            while sqlx::query_scalar::<_, i64>(TAKEN).fetch_one(&mut admin).await.unwrap() < 3 {
                assert!(Instant::now() < deadline, "the reads do not take the connections that there are");
            }
            assert!(store.renew(A, HOUR).await.unwrap());
            assert!(finds.try_join_next().is_none(), "the others are still waiting");
            execute(&mut locker, "ROLLBACK").await;
            finds.join_all().await;
        })
        .await;
}
