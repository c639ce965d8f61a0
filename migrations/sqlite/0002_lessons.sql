-- The classroom backend's own tables, which presence only reads. A view of the same name is left as it is.

CREATE TABLE IF NOT EXISTS lesson (
    id      TEXT PRIMARY KEY,
    org_id  TEXT NOT NULL,
    room_id TEXT
);

CREATE TABLE IF NOT EXISTS student_attend (
    lesson_id  TEXT NOT NULL,
    student_id TEXT NOT NULL,
    seat       TEXT,
    PRIMARY KEY (lesson_id, student_id)
);
