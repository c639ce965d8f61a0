-- The classroom backend's own tables, which presence only reads. IF NOT EXISTS passes over a view of the same name, so
-- a site can put views of its own here before or after (drop the empty table first).

CREATE TABLE IF NOT EXISTS lesson (
    id      text PRIMARY KEY,
    org_id  text NOT NULL,
    room_id text
);

CREATE TABLE IF NOT EXISTS student_attend (
    lesson_id  text NOT NULL,
    student_id text NOT NULL,
    seat       text,
    PRIMARY KEY (lesson_id, student_id)
);
