//! The file's schema: brought up to date whenever the file is opened.

use super::{
    SqliteOptions,
    connection::{Database, fault},
};
use crate::{
    adapters::schema::{self, Applied, COMPATIBLE_FROM, Embedded, Error, Recorded},
    ports::Fault,
};

const EMBEDDED: [Embedded; 3] = [
    (1, "sessions", include_str!("../../../../migrations/sqlite/0001_sessions.sql")),
    (2, "lessons", include_str!("../../../../migrations/sqlite/0002_lessons.sql")),
    (3, "replicas", include_str!("../../../../migrations/sqlite/0003_replicas.sql")),
];

const HAS_RECORD: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')";
const RECORD: &str = "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version";

/// Opens the file, or makes it, and brings its schema up to date.
pub async fn migrate(options: &SqliteOptions) -> Result<Applied, Error> {
    bring_up_to_date(&Database::open(options).await?).await
}

pub(super) async fn bring_up_to_date(database: &Database) -> Result<Applied, Error> {
    let known = schema::migrator(&EMBEDDED);
    let recorded_before = recorded(database).await?;
    let before = schema::newest(&recorded_before);
    if !schema::is_newer(&known, &recorded_before) {
        known.run(database.writer()).await.map_err(|error| schema::refused(error, &known, fault))?;
    }
    check_schema(database).await?;
    let after = schema::newest(&recorded(database).await?);
    Ok(Applied { before, after })
}

pub(super) async fn check_schema(database: &Database) -> Result<(), Error> {
    let (known, recorded) = (schema::migrator(&EMBEDDED), recorded(database).await?);
    let compatible_from = if schema::is_newer(&known, &recorded) {
        database.rows(sqlx::query_as::<_, (i64,)>(COMPATIBLE_FROM)).await?.first().map(|&(from,)| from)
    } else {
        None
    };
    schema::check(&known, &recorded, compatible_from)
}

async fn recorded(database: &Database) -> Result<Vec<Recorded>, Fault> {
    let exists = database.rows(sqlx::query_as::<_, (bool,)>(HAS_RECORD)).await?;
    if exists != [(true,)] {
        return Ok(Vec::new());
    }
    let rows = database.rows(sqlx::query_as::<_, (i64, bool, Vec<u8>)>(RECORD)).await?;
    Ok(rows.into_iter().map(Recorded::from).collect())
}
