//! What a classroom's backend keeps: lessons in PostgreSQL, who is where in Redis. Keys as in section 5 of
//! `docs/PROTOCOL.md`, one command after the other where one needs the other's answer, else together.

use crate::visitor::Visitor;
use anyhow::{Context, Result};
use redis::{AsyncCommands, aio::ConnectionManager};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{
    env,
    time::{SystemTime, UNIX_EPOCH},
};

const SEATS: u16 = 50;
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
const CONNECTIONS: u32 = 10;

/// The lesson that does not exist where no database says which do.
const NOWHERE: &str = "nowhere";

#[derive(Clone)]
pub(crate) struct Backend {
    redis: Option<ConnectionManager>,
    lessons: Option<PgPool>,
}

/// A lesson, and the student's seat in it.
struct Lesson {
    org: Option<String>,
    room: Option<String>,
    seat: Option<String>,
}

impl Backend {
    pub(crate) async fn from_environment() -> Result<Self> {
        let redis = match env::var("REFERENCE_REDIS_URL") {
            Ok(url) => Some(redis::Client::open(url).context("understand the URL of Redis")?),
            Err(_) => None,
        };
        let redis = match redis {
            Some(client) => Some(client.get_connection_manager().await.context("connect to Redis")?),
            None => None,
        };
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        let lessons = match env::var("REFERENCE_POSTGRES_URL") {
            Ok(url) => Some(pool.connect(&url).await.context("connect to PostgreSQL")?),
            Err(_) => None,
        };
        Ok(Self { redis, lessons })
    }

    pub(crate) async fn connected(&self, who: &Visitor, sid: &str) -> Result<()> {
        let Some(mut redis) = self.redis.clone() else { return Ok(()) };
        let fields = [("sid", sid), ("client_id", &who.user), ("role", &who.role), ("org_id", &who.org)];
        let mut commands = redis::pipe();
        match who.kind.as_str() {
            "teacher" => {
                let now = now()?.to_string();
                let alive = [("login_time", now.as_str()), ("state", "connect")];
                commands.hset_multiple(alive_key(who), &alive).ignore();
                commands.hset_multiple(&who.user, &fields).ignore();
            }
            "student" => drop(commands.hset_multiple(&who.user, &fields).ignore()),
            "manager" => {
                let key = format!("manager:org_{}_user_{}", who.org, who.user);
                commands.hset_multiple(key, &fields).ignore();
            }
            _ => return Ok(()),
        }
        commands.exec_async(&mut redis).await.context("write who is connected")
    }

    /// What `join_lesson` is acknowledged with; `None` where there is no such lesson in this org.
    pub(crate) async fn join(&self, who: &Visitor, sid: &str, lesson_id: &str) -> Result<Option<Value>> {
        let lesson = self.lesson(lesson_id, &who.user).await?;
        let Some(lesson) = lesson.filter(|lesson| lesson.org.as_ref().is_none_or(|org| *org == who.org))
        else {
            return Ok(None);
        };
        if let Some(redis) = self.redis.clone() {
            enter(redis, who, sid, lesson_id).await?;
        }
        let mut data = json!({ "lesson_id": lesson_id });
        for (key, value) in [("room_id", lesson.room), ("seat", lesson.seat)] {
            if let Some(value) = value {
                data[key] = value.into();
            }
        }
        Ok(Some(data))
    }

    async fn lesson(&self, lesson_id: &str, student: &str) -> Result<Option<Lesson>> {
        let Some(pool) = &self.lessons else {
            return Ok((lesson_id != NOWHERE).then_some(Lesson { org: None, room: None, seat: None }));
        };
        let found: Option<(String, Option<String>)> =
            sqlx::query_as("SELECT org_id, room_id FROM lesson WHERE id = $1")
                .bind(lesson_id)
                .fetch_optional(pool)
                .await
                .context("read a lesson")?;
        let Some((org, room)) = found else { return Ok(None) };
        let seat: Option<(Option<String>,)> =
            sqlx::query_as("SELECT seat FROM student_attend WHERE lesson_id = $1 AND student_id = $2")
                .bind(lesson_id)
                .bind(student)
                .fetch_optional(pool)
                .await
                .context("read a seat")?;
        Ok(Some(Lesson { org: Some(org), room, seat: seat.and_then(|(seat,)| seat) }))
    }

    pub(crate) async fn logged_out(&self, who: &Visitor) -> Result<()> {
        let Some(mut redis) = self.redis.clone() else { return Ok(()) };
        redis.del(alive_key(who)).await.context("forget that a teacher is there")
    }

    pub(crate) async fn disconnected(&self, who: &Visitor) -> Result<()> {
        let Some(mut redis) = self.redis.clone().filter(|_| who.kind == "teacher") else { return Ok(()) };
        let mut commands = redis::pipe();
        commands.hset(alive_key(who), "state", "disconnect").ignore();
        commands.expire(alive_key(who), HOUR).ignore();
        commands.exec_async(&mut redis).await.context("write that a teacher is gone")
    }
}

/// Who is in the lesson, and which seats it has.
async fn enter(mut redis: ConnectionManager, who: &Visitor, sid: &str, lesson_id: &str) -> Result<()> {
    let seats = format!("lesson_seat_{lesson_id}");
    let there: bool = redis.exists(&seats).await.context("look for the seats")?;
    let mut commands = redis::pipe();
    if !there {
        let empty: Vec<(String, &str)> = (1..=SEATS).map(|seat| (seat.to_string(), "")).collect();
        commands.hset_multiple(&seats, &empty).ignore();
    }
    let members = if who.kind == "teacher" { "lesson_teacher" } else { "lesson_student" };
    let members = format!("{members}_{lesson_id}");
    commands.hset(&members, &who.user, sid).ignore().expire(&members, DAY).ignore();
    commands.hset(&who.user, "lesson_id", lesson_id).ignore();
    commands.exec_async(&mut redis).await.context("write who is in the lesson")
}

#[expect(clippy::disallowed_methods, reason = "nothing here is simulated")]
fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn alive_key(who: &Visitor) -> String {
    format!("alive:org_{}_user_{}", who.org, who.user)
}
