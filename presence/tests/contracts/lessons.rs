//! The contract of `Lessons`: every test here runs on PostgreSQL and on SQLite, on the tables and on views in their
//! place.

use crate::session_store::stage::{Stage, classroom, on_every_store};
use presence::ports::{Fault, lessons::Lesson};
use presence_core::ids::UserId;

on_every_store!(
    a_lesson_comes_with_its_org_its_room_and_the_students_seat,
    what_is_absent_or_empty_is_none,
    a_seat_is_that_students_in_that_lesson,
    what_was_committed_is_seen_at_once,
    an_id_is_nothing_but_itself,
    views_of_other_types_are_read_as_text,
    a_view_that_brings_a_lesson_twice_gives_the_same_one_each_time,
    a_lesson_and_its_seat_are_one_round_trip,
    a_site_without_the_tables_is_a_failure,
);

fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

fn lesson(org: &str, room: Option<&str>, seat: Option<&str>) -> Lesson {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Lesson { org_id: org.to_owned(), room_id: owned(room), seat: owned(seat) }
}

async fn found(stage: &Stage, id: &str, student: &str) -> Option<Lesson> {
    stage.lessons.lesson(&classroom(id), &user(student)).await.unwrap()
}

async fn room(stage: &Stage, id: &str) -> Option<String> {
    stage.lessons.room(&classroom(id)).await.unwrap()
}

async fn a_lesson_comes_with_its_org_its_room_and_the_students_seat(stage: &Stage) {
    stage
        .execute(
            "INSERT INTO lesson VALUES ('math', 'school', 'room-7'), ('art', 'school', 'room-8');
             INSERT INTO student_attend VALUES ('math', 'ann', '12')",
        )
        .await;
    assert_eq!(found(stage, "math", "ann").await, Some(lesson("school", Some("room-7"), Some("12"))));
    assert_eq!(found(stage, "math", "ben").await, Some(lesson("school", Some("room-7"), None)));
    assert_eq!(room(stage, "art").await.as_deref(), Some("room-8"));
}

async fn what_is_absent_or_empty_is_none(stage: &Stage) {
    stage
        .execute(
            "INSERT INTO lesson VALUES ('null', 'school', NULL), ('empty', '', '');
             INSERT INTO student_attend VALUES ('null', 'ann', NULL), ('empty', 'ann', ''), ('orphan', 'ann', '3')",
        )
        .await;
    assert_eq!(found(stage, "null", "ann").await, Some(lesson("school", None, None)));
    assert_eq!(found(stage, "empty", "ann").await, Some(lesson("", None, None)));
    assert_eq!((room(stage, "null").await, room(stage, "empty").await), (None, None));
    assert_eq!((found(stage, "orphan", "ann").await, room(stage, "orphan").await), (None, None));
}

async fn a_seat_is_that_students_in_that_lesson(stage: &Stage) {
    stage
        .execute(
            "INSERT INTO lesson VALUES ('math', 'school', NULL), ('art', 'school', NULL);
             INSERT INTO student_attend VALUES ('math', 'ann', '1'), ('art', 'ann', '2'), ('math', 'ben', '3')",
        )
        .await;
    for (id, student, seat) in [("math", "ann", "1"), ("art", "ann", "2"), ("math", "ben", "3")] {
        assert_eq!(found(stage, id, student).await, Some(lesson("school", None, Some(seat))));
    }
    assert_eq!(found(stage, "art", "ben").await, Some(lesson("school", None, None)));
}

async fn what_was_committed_is_seen_at_once(stage: &Stage) {
    assert_eq!(found(stage, "math", "ann").await, None);
    stage.execute("INSERT INTO lesson VALUES ('math', 'school', NULL)").await;
    assert_eq!(found(stage, "math", "ann").await, Some(lesson("school", None, None)));
    stage.execute("INSERT INTO student_attend VALUES ('math', 'ann', '5')").await;
    assert_eq!(found(stage, "math", "ann").await, Some(lesson("school", None, Some("5"))));
    stage.execute("UPDATE lesson SET room_id = 'r'").await;
    assert_eq!(room(stage, "math").await.as_deref(), Some("r"));
    stage.execute("DELETE FROM lesson").await;
    assert_eq!((found(stage, "math", "ann").await, room(stage, "math").await), (None, None));
}

/// Neither letters nor numbers are taken for others that only look alike.
async fn an_id_is_nothing_but_itself(stage: &Stage) {
    stage
        .execute(
            "INSERT INTO lesson VALUES ('Math', 'a', NULL), ('7', 'b', NULL);
             INSERT INTO student_attend VALUES ('7', '7', '1'), ('7', 'Ann', '2')",
        )
        .await;
    for other in ["math", "MATH", "07", "7_", "_", "-7"] {
        assert_eq!((found(stage, other, "7").await, room(stage, other).await), (None, None), "{other}");
    }
    for other in ["07", "ann", "7.0"] {
        assert_eq!(found(stage, "7", other).await, Some(lesson("b", None, None)), "{other}");
    }
    assert_eq!(found(stage, "7", "7").await, Some(lesson("b", None, Some("1"))));
}

const UUID: &str = "8a9c1b7e-1f7a-4d35-9d8a-1c2b3d4e5f60";

/// The backend's own tables, in another schema or under other names, and what presence sees of them.
async fn views_of_other_types_are_read_as_text(stage: &Stage) {
    // The statements are prepared on the tables first, and go on serving on the views.
    assert_eq!((found(stage, UUID, "7").await, room(stage, UUID).await), (None, None));
    stage
        .execute_either(
            "CREATE TABLE course (id uuid PRIMARY KEY, school int NOT NULL, place bigint);
             CREATE TABLE booking (course uuid, pupil int, chair smallint);
             DROP TABLE lesson; DROP TABLE student_attend;
             CREATE VIEW lesson AS SELECT id, school AS org_id, place AS room_id FROM course;
             CREATE VIEW student_attend AS SELECT course AS lesson_id, pupil AS student_id, chair AS seat FROM booking",
            "CREATE TABLE course (id TEXT PRIMARY KEY, school INTEGER NOT NULL, place INTEGER);
             CREATE TABLE booking (course TEXT, pupil INTEGER, chair INTEGER);
             DROP TABLE lesson; DROP TABLE student_attend;
             CREATE VIEW lesson AS SELECT id, school AS org_id, place AS room_id FROM course;
             CREATE VIEW student_attend AS SELECT course AS lesson_id, pupil AS student_id, chair AS seat FROM booking",
        )
        .await;
    stage
        .execute(&format!(
            "INSERT INTO course VALUES ('{UUID}', 42, 1001);
             INSERT INTO booking VALUES ('{UUID}', 7, 3), ('{UUID}', 8, NULL)"
        ))
        .await;
    assert_eq!(found(stage, UUID, "7").await, Some(lesson("42", Some("1001"), Some("3"))));
    for other in ["8", "07", "seven", "7a"] {
        assert_eq!(found(stage, UUID, other).await, Some(lesson("42", Some("1001"), None)), "{other}");
    }
    assert_eq!(room(stage, UUID).await.as_deref(), Some("1001"));
    assert_eq!(found(stage, "no-uuid", "7").await, None);
    stage
        .execute(
            "DROP VIEW lesson; CREATE VIEW lesson AS SELECT 7 + 0 AS id, 'school' AS org_id, NULL AS room_id",
        )
        .await;
    assert_eq!(found(stage, "7", "7").await, Some(lesson("school", None, None)));
    assert_eq!((found(stage, "07", "7").await, room(stage, "7").await), (None, None));
}

async fn a_view_that_brings_a_lesson_twice_gives_the_same_one_each_time(stage: &Stage) {
    stage
        .execute(
            "DROP TABLE lesson; DROP TABLE student_attend;
             CREATE TABLE twice (id text, org_id text, room_id text);
             INSERT INTO twice VALUES ('math', 'school', NULL), ('math', 'school', 'b'), ('math', 'school', 'a');
             CREATE VIEW lesson AS SELECT * FROM twice;
             CREATE VIEW student_attend AS
                 SELECT 'math' AS lesson_id, 'ann' AS student_id, '2' AS seat UNION ALL SELECT 'math', 'ann', ''
                 UNION ALL SELECT 'math', 'ann', NULL UNION ALL SELECT 'math', 'ann', '1'",
        )
        .await;
    for _ in 0..3 {
        assert_eq!(found(stage, "math", "ann").await, Some(lesson("school", Some("a"), Some("1"))));
        assert_eq!(room(stage, "math").await.as_deref(), Some("a"));
    }
}

async fn a_lesson_and_its_seat_are_one_round_trip(stage: &Stage) {
    let before = (stage.statements)();
    found(stage, "math", "ann").await;
    assert_eq!((stage.statements)(), before + 1);
    room(stage, "math").await;
    assert_eq!((stage.statements)(), before + 2);
}

async fn a_site_without_the_tables_is_a_failure(stage: &Stage) {
    stage.execute("DROP TABLE lesson").await;
    let asked = stage.lessons.lesson(&classroom("math"), &user("ann")).await;
    assert!(matches!(asked, Err(Fault::Failed { .. })), "{asked:?}");
    stage.execute("CREATE VIEW lesson AS SELECT 'math' AS id, 'school' AS org_id, '' AS room_id").await;
    assert_eq!(found(stage, "math", "ann").await, Some(lesson("school", None, None)));
}
