//! A failover to a standby that lags, as the ids see it: the server is on another timeline than the one they were drawn
//! on. (A real one is in the chaos tier.)

use super::stage::{A, Stage, connect, key};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{ops::RangeInclusive, time::Duration};
use tokio::{task::JoinSet, time::Instant};

const FOLLOW: &str = "SELECT presence_follow_failover()";
/// As after a promotion: what the database remembers is not where it is.
const ELSEWHERE: &str = "UPDATE id_origin SET origin = '1/000000FF'";
/// Once, and not twice.
const ONE_JUMP: RangeInclusive<i64> = 1_000_000..=1_000_100;

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// A new session's id, and the position of its event.
async fn drawn(stage: &Stage, agent: &str) -> (i64, i64) {
    let id = stage.claim(&key(agent, "math"), A).await.held.session_id;
    let waiting = stage.waiting().await;
    (id.0, waiting.iter().find(|event| event.session_id == id).expect("its event waits").position)
}

/// The same, by a process that connects only now.
async fn drawn_anew(stage: &Stage, agent: &str) -> (i64, i64) {
    let store = stage.another_store().await;
    store.roster(&key(agent, "math").classroom_id).await.unwrap();
    drawn(stage, agent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_connects_after_a_failover_moves_the_ids_past_what_was_lost() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let before = drawn(stage, "ann").await;
            stage.execute(ELSEWHERE).await;
            let after = drawn_anew(stage, "ben").await;
            assert!(ONE_JUMP.contains(&(after.0 - before.0)), "{before:?} {after:?}");
            assert!(ONE_JUMP.contains(&(after.1 - before.1)), "{before:?} {after:?}");
            let next = drawn_anew(stage, "cid").await;
            assert_eq!(next, (after.0 + 1, after.1 + 1), "it moved again on the same timeline");
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_timeline_that_it_was_made_on_ids_follow_each_other() {
    Stage::postgres()
        .await
        .play(async |stage| {
            assert_eq!(drawn(stage, "ann").await, (1, 1));
            assert_eq!(drawn_anew(stage, "ben").await, (2, 2));
        })
        .await;
}

/// All of them see the old timeline, and wait for the one that has the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_connections_at_once_one_moves_the_ids_and_the_others_wait_for_it() {
    const CONNECTIONS: usize = 8;
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query = 'SELECT presence_follow_failover()'";
    Stage::postgres()
        .await
        .play(async |stage| {
            let before = drawn(stage, "ann").await;
            stage.execute(ELSEWHERE).await;
            let (mut admin, mut locker) = (connect(stage.url()).await, connect(stage.url()).await);
            execute(&mut locker, "BEGIN; SELECT FROM id_origin FOR UPDATE").await;
            let mut racing = JoinSet::new();
            for _ in 0..CONNECTIONS {
                let mut racer = connect(stage.url()).await;
                racing.spawn(async move { execute(&mut racer, FOLLOW).await });
            }
            let deadline = Instant::now() + Duration::from_secs(30);
            while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut admin).await.unwrap()
                < i64::try_from(CONNECTIONS).unwrap()
            {
                assert!(Instant::now() < deadline, "they do not wait for the row");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            execute(&mut locker, "ROLLBACK").await;
            racing.join_all().await;
            let after = drawn(stage, "ben").await;
            assert!(ONE_JUMP.contains(&(after.0 - before.0)), "{before:?} {after:?}");
            assert!(ONE_JUMP.contains(&(after.1 - before.1)), "{before:?} {after:?}");
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lesser_role_moves_them_by_that_function_only_and_cannot_mislead_it() {
    const GRANTS: &str = include_str!("../../../../migrations/postgres/grants.sql");
    const MISLEAD: &str = "CREATE TEMP TABLE id_origin AS SELECT 'elsewhere' AS origin;
        CREATE FUNCTION pg_temp.presence_id_origin() RETURNS text LANGUAGE sql AS $$ SELECT 'nowhere' $$;
        SET search_path = pg_temp, public; SELECT public.presence_follow_failover()";
    Stage::postgres()
        .await
        .play(async |stage| {
            let before = drawn(stage, "ann").await;
            let mut admin = connect(stage.url()).await;
            let role = url::Url::parse(stage.url()).unwrap().path().replace('/', "role_");
            execute(&mut admin, &format!("CREATE ROLE {role}; SET ROLE {role}")).await;
            let refused = sqlx::raw_sql(FOLLOW).execute(&mut admin).await.unwrap_err().to_string();
            assert!(refused.contains("permission denied"), "{refused}");
            execute(&mut admin, "RESET ROLE").await;
            execute(&mut admin, &GRANTS.replace("presence_server", &role)).await;
            execute(&mut admin, &format!("SET ROLE {role}; {MISLEAD}")).await;
            assert_eq!(drawn(stage, "ben").await, (before.0 + 1, before.1 + 1));
            stage.execute(ELSEWHERE).await;
            execute(&mut admin, "SELECT public.presence_follow_failover()").await;
            let after = drawn(stage, "cid").await;
            assert!(ONE_JUMP.contains(&(after.0 - before.0)), "{before:?} {after:?}");
            execute(&mut admin, &format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")).await;
        })
        .await;
}

/// A service that is only like PostgreSQL, or keeps such questions from its users.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_server_does_not_tell_its_timeline_the_ids_stay_as_they_are() {
    Stage::postgres()
        .await
        .play(async |stage| {
            let before = drawn(stage, "ann").await;
            let mut admin = connect(stage.url()).await;
            let role = url::Url::parse(stage.url()).unwrap().path().replace('/', "role_");
            let owned = format!(
                "REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC; CREATE ROLE {role};
                 GRANT SELECT, UPDATE ON id_origin TO {role};
                 ALTER FUNCTION presence_follow_failover OWNER TO {role}"
            );
            execute(&mut admin, &owned).await;
            stage.execute(ELSEWHERE).await;
            assert_eq!(drawn_anew(stage, "ben").await, (before.0 + 1, before.1 + 1));
            let given_back = format!(
                "ALTER FUNCTION presence_follow_failover OWNER TO CURRENT_USER;
                 DROP OWNED BY {role}; DROP ROLE {role}"
            );
            execute(&mut admin, &given_back).await;
        })
        .await;
}
