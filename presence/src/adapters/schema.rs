//! Which schema a database has, and whether this build may serve on it. The migrations themselves are SQL files under
//! `migrations/`, embedded by the stores; nothing here reads or changes a database.

use crate::ports::Fault;
use sqlx::{
    SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};
use std::borrow::Cow;

/// Why a store cannot be opened or migrated. Its text says what mends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store's address is not valid: {0}")]
    Address(Cow<'static, str>),
    #[error("the database has no presence tables: run `presence migrate`")]
    Missing,
    #[error("the database has schema {found}, this presence needs {known}: run `presence migrate`")]
    Older { found: i64, known: i64 },
    #[error(
        "this presence is older than the database, which has left it behind (schema {found}, it knows {known}): \
         upgrade it"
    )]
    Newer { found: i64, known: i64 },
    #[error("migration {0} was left half done: restore the database, then run `presence migrate`")]
    Dirty(i64),
    #[error(
        "migration {0} is not the one this presence knows: the database was made by another build, use that one"
    )]
    Changed(i64),
    #[error(transparent)]
    Store(#[from] Fault),
}

/// What `presence migrate` did: the schema before and after, 0 where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    pub before: i64,
    pub after: i64,
}

/// One line of the database's own account of its migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) version: i64,
    pub(super) success: bool,
    pub(super) checksum: Vec<u8>,
}

impl From<(i64, bool, Vec<u8>)> for Recorded {
    fn from((version, success, checksum): (i64, bool, Vec<u8>)) -> Self {
        Self { version, success, checksum }
    }
}

/// The lowest schema that a build must know to serve, as `migrations/README.md` says. Only a newer database is asked.
pub(super) const COMPATIBLE_FROM: &str = "SELECT compatible_from FROM schema_contract";

/// An embedded migration: version, description, SQL.
pub(super) type Embedded = (i64, &'static str, &'static str);

pub(super) fn migrator(embedded: &[Embedded]) -> Migrator {
    let migrations = embedded.iter().map(|&(version, description, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, description.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Whether this build may serve on a database that records these migrations: its own, as it knows them. There may be
/// later ones, if the database says that `compatible_from` is enough: so the release before can still start while a new
/// one is rolled out, and after it was rolled back.
pub(super) fn check(
    known: &Migrator,
    recorded: &[Recorded],
    compatible_from: Option<i64>,
) -> Result<(), Error> {
    if let Some(dirty) = recorded.iter().find(|migration| !migration.success) {
        return Err(Error::Dirty(dirty.version));
    }
    let (found, last) = (newest(recorded), last_known(known));
    if found == 0 {
        return Err(Error::Missing);
    }
    if found > last && compatible_from.is_none_or(|from| from > last) {
        return Err(Error::Newer { found, known: last });
    }
    for migration in known.iter() {
        match recorded.iter().find(|r| r.version == migration.version) {
            Some(same) if same.checksum == *migration.checksum => {}
            Some(other) => return Err(Error::Changed(other.version)),
            // Nothing brings it up to date: what is later has been applied without it.
            None if found > last => return Err(Error::Changed(migration.version)),
            None => return Err(Error::Older { found, known: last }),
        }
    }
    Ok(())
}

/// Whether the database has migrations later than any that this build knows.
pub(super) fn is_newer(known: &Migrator, recorded: &[Recorded]) -> bool {
    newest(recorded) > last_known(known)
}

pub(super) fn newest(recorded: &[Recorded]) -> i64 {
    recorded.iter().map(|migration| migration.version).max().unwrap_or(0)
}

pub(super) fn last_known(known: &Migrator) -> i64 {
    known.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// What sqlx says when a migration does not go through.
pub(super) fn refused(error: MigrateError, known: &Migrator, fault: fn(sqlx::Error) -> Fault) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => fault(error).into(),
        MigrateError::VersionMissing(found) => Error::Newer { found, known: last_known(known) },
        MigrateError::VersionMismatch(version) => Error::Changed(version),
        MigrateError::Dirty(version) => Error::Dirty(version),
        other => Fault::failed("the migration", other).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: [Embedded; 2] = [(1, "one", "SELECT 1"), (2, "two", "SELECT 2")];

    fn recorded(versions: &[i64]) -> Vec<Recorded> {
        let known = migrator(&SQL);
        let checksum = |version| known.iter().find(|m| m.version == version).map(|m| m.checksum.to_vec());
        let record =
            |&version| Recorded { version, success: true, checksum: checksum(version).unwrap_or_default() };
        versions.iter().map(record).collect()
    }

    fn verdict(recorded: &[Recorded], compatible_from: Option<i64>) -> String {
        match check(&migrator(&SQL), recorded, compatible_from) {
            Ok(()) => "served".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_known_schema_is_served_and_a_lesser_one_is_not() {
        assert_eq!(verdict(&recorded(&[1, 2]), None), "served");
        for found in [&[][..], &[1]] {
            let verdict = verdict(&recorded(found), Some(1));
            assert!(verdict.contains("run `presence migrate`"), "{found:?}: {verdict}");
        }
    }

    #[test]
    fn a_later_schema_is_served_while_it_says_that_what_is_known_is_enough() {
        for (compatible_from, says) in
            [(Some(1), "served"), (Some(2), "served"), (Some(3), "upgrade it"), (None, "upgrade it")]
        {
            let verdict = verdict(&recorded(&[1, 2, 3, 4]), compatible_from);
            assert!(verdict.contains(says), "{compatible_from:?}: {verdict}");
        }
        let hole = verdict(&recorded(&[1, 3]), Some(1));
        assert!(hole.contains("another build"), "{hole}");
    }

    #[test]
    fn a_half_done_or_edited_migration_is_not_served() {
        let mut dirty = recorded(&[1, 2]);
        dirty[1].success = false;
        assert!(verdict(&dirty, None).contains("half done"));
        let mut edited = recorded(&[1, 2]);
        edited[0].checksum = vec![0];
        assert!(verdict(&edited, None).contains("another build"));
        edited.extend(recorded(&[3]));
        assert!(verdict(&edited, Some(1)).contains("another build"));
    }
}
