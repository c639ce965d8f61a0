//! The contract of `LessonState`: every test here runs on Redis and in the process, and reads back what others would.
//!
//! It needs `PRESENCE_TEST_REDIS`, and for what only a server can do to us, `PRESENCE_TEST_REDIS_SERVER`, the program.

mod ends;
mod faults;
mod keys;
mod races;
mod restores;
mod server;
mod stage;
