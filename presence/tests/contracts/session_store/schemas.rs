//! Which schemas a store serves, and what it says of the others.

use super::stage::{connect, drop_database, new_database};
use presence::adapters::{
    schema::{Applied, Error},
    session_store_postgres::{PostgresOptions, PostgresStore, migrate},
    session_store_sqlite::{self, SqliteOptions, SqliteStore},
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

/// The error of opening a store on a migrated database after something was done to it.
async fn opening_postgres_after(sql: &str) -> String {
    let url = new_database().await;
    migrate(&url).await.unwrap();
    let mut admin = connect(&url).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut admin).await.unwrap();
    let refused = PostgresStore::open(&PostgresOptions::new(&url)).await.map(|_| ()).unwrap_err();
    drop_database(&url).await;
    refused.to_string()
}

#[tokio::test]
async fn a_schema_that_this_build_does_not_know_is_refused_with_what_mends_it() {
    let cases = [
        ("DROP TABLE _sqlx_migrations", "run `presence migrate`"),
        ("DELETE FROM _sqlx_migrations WHERE version = 2", "run `presence migrate`"),
        (
            "DROP FUNCTION presence_follow_failover; DELETE FROM _sqlx_migrations WHERE version = 3",
            "run `presence migrate`",
        ),
        (
            "INSERT INTO _sqlx_migrations SELECT 99, 'later', now(), true, '', 0;
             UPDATE schema_contract SET compatible_from = 99",
            "this presence is older than the database",
        ),
        (
            "INSERT INTO _sqlx_migrations SELECT 99, 'later', now(), true, '', 0; DELETE FROM schema_contract",
            "this presence is older than the database",
        ),
        ("UPDATE _sqlx_migrations SET success = false WHERE version = 2", "half done"),
        ("UPDATE _sqlx_migrations SET checksum = ''", "made by another build"),
    ];
    for (sql, says) in cases {
        let error = opening_postgres_after(sql).await;
        assert!(error.contains(says), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_store_notices_when_its_schema_is_changed_under_it() {
    let url = new_database().await;
    migrate(&url).await.unwrap();
    let (store, _run) = PostgresStore::open(&PostgresOptions::new(&url)).await.unwrap();
    store.check_schema().await.unwrap();
    let mut admin = connect(&url).await;
    let later = "INSERT INTO _sqlx_migrations SELECT 99, 'later', now(), true, '', 0;
        UPDATE schema_contract SET compatible_from = 98";
    sqlx::raw_sql(later).execute(&mut admin).await.unwrap();
    assert!(matches!(store.check_schema().await, Err(Error::Newer { found: 99, .. })));
    assert!(matches!(migrate(&url).await, Err(Error::Newer { found: 99, .. })));
    drop_database(&url).await;
}

#[tokio::test]
async fn a_later_schema_that_only_added_something_is_served_and_left_as_it_is() {
    let url = new_database().await;
    migrate(&url).await.unwrap();
    let mut admin = connect(&url).await;
    let later = "INSERT INTO _sqlx_migrations SELECT 99, 'later', now(), true, '', 0";
    sqlx::raw_sql(later).execute(&mut admin).await.unwrap();
    let (store, _run) = PostgresStore::open(&PostgresOptions::new(&url)).await.unwrap();
    store.check_schema().await.unwrap();
    assert_eq!(migrate(&url).await.unwrap(), Applied { before: 99, after: 99 });
    drop_database(&url).await;
}

#[tokio::test]
async fn two_migrations_at_once_are_one() {
    let url = new_database().await;
    let (one, two) = tokio::join!(migrate(&url), migrate(&url));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.after, two.after);
    assert_eq!(migrate(&url).await.unwrap(), Applied { before: one.after, after: one.after });
    drop_database(&url).await;
}

#[tokio::test]
async fn a_site_s_own_views_of_lessons_are_left_as_they_are() {
    let url = new_database().await;
    let mut admin = connect(&url).await;
    let views = "CREATE VIEW lesson AS SELECT 'math' AS id, 'org' AS org_id, 'room' AS room_id;
        CREATE VIEW student_attend AS SELECT 'math' AS lesson_id, 'ann' AS student_id, '3' AS seat";
    sqlx::raw_sql(views).execute(&mut admin).await.unwrap();
    migrate(&url).await.unwrap();
    let seat: String = sqlx::query_scalar("SELECT seat FROM student_attend JOIN lesson ON id = lesson_id")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(seat, "3");
    drop_database(&url).await;
}

#[tokio::test]
async fn a_file_of_a_later_schema_is_refused_once_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("presence.db"));
    let applied = session_store_sqlite::migrate(&options).await.unwrap();
    assert_eq!(applied.before, 0);
    let mut admin = SqliteConnection::connect(options.path.to_str().unwrap()).await.unwrap();
    let later = "INSERT INTO _sqlx_migrations VALUES (99, 'later', CURRENT_TIMESTAMP, true, x'00', 0)";
    sqlx::raw_sql(later).execute(&mut admin).await.unwrap();
    drop(SqliteStore::open(&options).await.unwrap());
    let contracted = "UPDATE schema_contract SET compatible_from = 99";
    sqlx::raw_sql(contracted).execute(&mut admin).await.unwrap();
    let refused = SqliteStore::open(&options).await.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("older than the database"), "{refused}");
}
