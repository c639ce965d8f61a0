//! What the classroom's backend has before anybody connects: lessons, seats, and a Redis.

use crate::{
    Kind, Link, Stack,
    database::{Database, address, set_host},
    keys::Keys,
};
use anyhow::{Context, Result};
use sqlx::{ConnectOptions as _, Connection as _};

/// A lesson as the backend wrote it down.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    pub id: &'a str,
    pub org: &'a str,
    pub room: Option<&'a str>,
}

impl Lesson<'_> {
    fn insert(self) -> String {
        let room = self.room.map_or_else(|| "NULL".to_owned(), quoted);
        format!(
            "INSERT INTO lesson (id, org_id, room_id) VALUES ({}, {}, {room})",
            quoted(self.id),
            quoted(self.org)
        )
    }
}

fn seat(lesson: &str, student: &str, seat: &str) -> String {
    format!(
        "INSERT INTO student_attend (lesson_id, student_id, seat) VALUES ({}, {}, {})",
        quoted(lesson),
        quoted(student),
        quoted(seat)
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Database {
    pub fn add_lesson(&self, lesson: Lesson<'_>) -> Result<()> {
        self.query(&lesson.insert()).map(drop)
    }

    pub fn add_seat(&self, lesson: &str, student: &str, of: &str) -> Result<()> {
        self.query(&seat(lesson, student, of)).map(drop)
    }
}

impl Stack {
    /// Writes a lesson down. Where there is SQLite, a server must have started: it makes the tables.
    pub async fn add_lesson(&self, lesson: Lesson<'_>) -> Result<()> {
        self.write(&lesson.insert()).await
    }

    /// A student is to sit there.
    pub async fn add_seat(&self, lesson: &str, student: &str, of: &str) -> Result<()> {
        self.write(&seat(lesson, student, of)).await
    }

    async fn write(&self, sql: &str) -> Result<()> {
        if self.kind == Kind::Full {
            return self.database()?.query(sql).map(drop);
        }
        let file = sqlx::sqlite::SqliteConnectOptions::new().filename(self.data_dir().join("presence.db"));
        let mut sqlite = file.connect().await.context("open the SQLite file")?;
        let written = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut sqlite).await;
        written.with_context(|| sql.to_owned())?;
        sqlite.close().await.context("close the SQLite file")
    }

    /// Gives the servers that start from here on a Redis, and keys that begin with a prefix of this test's own.
    pub async fn use_redis(&mut self) -> Result<Keys> {
        let prefix = self.classroom("t") + ":";
        self.set("redis.key_prefix", &prefix);
        let keys = Keys::prefixed(&prefix).await?;
        self.set("redis.url", &keys.url);
        Ok(keys)
    }

    /// The same with the exact names of the keys, in a database of this test's own.
    pub async fn use_redis_alone(&mut self) -> Result<Keys> {
        let keys = Keys::in_own_database().await?;
        self.set("redis.url", &keys.url);
        Ok(keys)
    }

    /// Puts a link between the servers that start from here on and Redis.
    pub async fn link_redis(&mut self, keys: &Keys) -> Result<Link> {
        let mut url = keys.url.clone();
        let link = Link::to(address(&url)?).await?;
        set_host(&mut url, link.address)?;
        self.set("redis.url", url);
        self.keep(&link);
        Ok(link)
    }
}
