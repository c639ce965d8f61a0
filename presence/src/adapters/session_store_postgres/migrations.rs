//! The schema: brought up to date by `presence migrate`, checked by everybody who serves.

use super::database::{Database, fault, parse_url};
use crate::adapters::schema::{self, Applied, COMPATIBLE_FROM, Embedded, Error, Recorded};
use sqlx::{ConnectOptions, Connection, PgConnection};

const EMBEDDED: [Embedded; 3] = [
    (1, "sessions", include_str!("../../../../migrations/postgres/0001_sessions.sql")),
    (2, "lessons", include_str!("../../../../migrations/postgres/0002_lessons.sql")),
    (3, "replicas", include_str!("../../../../migrations/postgres/0003_replicas.sql")),
];

const HAS_RECORD: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
const RECORD: &str = "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version";

type Row = (i64, bool, Vec<u8>);

/// Brings the schema of the database up to date. Two at once are safe: one waits for the other's advisory lock.
pub async fn migrate(url: &str) -> Result<Applied, Error> {
    let mut connection = parse_url(url)?.connect().await.map_err(fault)?;
    let applied = apply(&mut connection).await;
    // Closing gives back the lock, whatever became of the migration; that it closes badly changes nothing.
    drop(connection.close().await);
    applied
}

async fn apply(connection: &mut PgConnection) -> Result<Applied, Error> {
    let known = schema::migrator(&EMBEDDED);
    let recorded_before = recorded(connection).await.map_err(fault)?;
    let before = schema::newest(&recorded_before);
    if schema::is_newer(&known, &recorded_before) {
        // A later release was here: there is nothing to do, or nothing that this one could.
        let marker = sqlx::query_as::<_, (i64,)>(COMPATIBLE_FROM).fetch_optional(connection).await;
        let compatible_from = marker.map_err(fault)?.map(|(from,)| from);
        schema::check(&known, &recorded_before, compatible_from)?;
        return Ok(Applied { before, after: before });
    }
    known.run(&mut *connection).await.map_err(|error| schema::refused(error, &known, fault))?;
    let after = schema::newest(&recorded(connection).await.map_err(fault)?);
    Ok(Applied { before, after })
}

async fn recorded(connection: &mut PgConnection) -> Result<Vec<Recorded>, sqlx::Error> {
    if !sqlx::query_scalar::<_, bool>(HAS_RECORD).fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as::<_, Row>(RECORD).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Recorded::from).collect())
}

pub(super) async fn check_schema(database: &Database) -> Result<(), Error> {
    let exists = database.rows(|| sqlx::query_as::<_, (bool,)>(HAS_RECORD)).await?;
    let rows = if exists == [(true,)] {
        database.rows(|| sqlx::query_as::<_, Row>(RECORD)).await?
    } else {
        Vec::new()
    };
    let recorded: Vec<_> = rows.into_iter().map(Recorded::from).collect();
    let known = schema::migrator(&EMBEDDED);
    let compatible_from = if schema::is_newer(&known, &recorded) {
        database.rows(|| sqlx::query_as::<_, (i64,)>(COMPATIBLE_FROM)).await?.first().map(|&(from,)| from)
    } else {
        None
    };
    schema::check(&known, &recorded, compatible_from)
}
