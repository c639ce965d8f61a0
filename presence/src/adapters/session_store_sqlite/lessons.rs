//! `Lessons`: two tables, or a site's views in their place, of which nothing is known but the columns' names. So each
//! is read as text. It is compared as what it is, which an index serves, and as text, so that `07` is not lesson 7.

use super::SqliteStore;
use crate::ports::{
    Fault,
    lessons::{Lesson, Lessons},
};
use async_trait::async_trait;
use presence_core::ids::{ClassroomId, UserId};

/// A view may bring a lesson or a student more than once: the same row is taken each time.
const LESSON: &str = "
SELECT coalesce(CAST(l.org_id AS TEXT), '') AS org, nullif(CAST(l.room_id AS TEXT), '') AS room, (
    SELECT min(CAST(a.seat AS TEXT)) FROM student_attend a
    WHERE a.lesson_id IN (?1, ?3) AND CAST(a.lesson_id AS TEXT) = ?1
      AND a.student_id IN (?2, ?4) AND CAST(a.student_id AS TEXT) = ?2
      AND CAST(a.seat AS TEXT) <> ''
) AS seat
FROM lesson l WHERE l.id IN (?1, ?3) AND CAST(l.id AS TEXT) = ?1 ORDER BY org, room NULLS LAST LIMIT 1";

const ROOM: &str = "
SELECT nullif(CAST(room_id AS TEXT), '') AS room FROM lesson WHERE id IN (?1, ?2) AND CAST(id AS TEXT) = ?1
ORDER BY coalesce(CAST(org_id AS TEXT), ''), room NULLS LAST LIMIT 1";

#[async_trait]
impl Lessons for SqliteStore {
    async fn lesson(&self, lesson: &ClassroomId, student: &UserId) -> Result<Option<Lesson>, Fault> {
        let query = sqlx::query_as::<_, (String, Option<String>, Option<String>)>(LESSON)
            .bind(lesson.as_str())
            .bind(student.as_str())
            .bind(number(lesson.as_str()))
            .bind(number(student.as_str()));
        let found = self.database.rows(query).await?.pop();
        Ok(found.map(|(org_id, room_id, seat)| Lesson { org_id, room_id, seat }))
    }

    async fn room(&self, lesson: &ClassroomId) -> Result<Option<String>, Fault> {
        let query =
            sqlx::query_as::<_, (Option<String>,)>(ROOM).bind(lesson.as_str()).bind(number(lesson.as_str()));
        Ok(self.database.rows(query).await?.pop().and_then(|(room,)| room))
    }
}

/// The number that an id is, for a column that holds numbers and does not say so.
fn number(id: &str) -> Option<i64> {
    id.parse().ok().filter(|number: &i64| number.to_string() == id)
}
