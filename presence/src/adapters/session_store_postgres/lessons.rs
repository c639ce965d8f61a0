//! `Lessons`: two tables, or a site's views in their place, of which nothing is known but the columns' names. So each
//! is read as text, and compared as text: a view whose ids are no texts wants an index on their text form.

use super::PostgresStore;
use crate::ports::{
    Fault,
    lessons::{Lesson, Lessons},
};
use async_trait::async_trait;
use presence_core::ids::{ClassroomId, UserId};

/// The casts keep the statement's shape whatever the columns are, so that a view can take a table's place under a server
/// that runs. A view may bring a lesson or a student more than once: every replica then takes the same row.
const LESSON: &str = r#"
SELECT coalesce(l.org_id::text, ''), nullif(l.room_id::text, ''), (
    SELECT min(a.seat::text COLLATE "C") FROM student_attend a
    WHERE a.lesson_id::text = $1 AND a.student_id::text = $2 AND a.seat::text <> ''
)
FROM lesson l WHERE l.id::text = $1 ORDER BY 1, 2 LIMIT 1"#;

const ROOM: &str = "
SELECT nullif(room_id::text, '') FROM lesson WHERE id::text = $1 ORDER BY coalesce(org_id::text, ''), 1 LIMIT 1";

#[async_trait]
impl Lessons for PostgresStore {
    async fn lesson(&self, lesson: &ClassroomId, student: &UserId) -> Result<Option<Lesson>, Fault> {
        let statement = || {
            sqlx::query_as::<_, (String, Option<String>, Option<String>)>(LESSON)
                .bind(lesson.as_str())
                .bind(student.as_str())
        };
        let found = self.database.rows(statement).await?.pop();
        Ok(found.map(|(org_id, room_id, seat)| Lesson { org_id, room_id, seat }))
    }

    async fn room(&self, lesson: &ClassroomId) -> Result<Option<String>, Fault> {
        let statement = || sqlx::query_as::<_, (Option<String>,)>(ROOM).bind(lesson.as_str());
        Ok(self.database.rows(statement).await?.pop().and_then(|(room,)| room))
    }
}
