//! What presence means, and nothing about how it is done.
//!
//! Pure: no runtime, no database, no clock, no randomness (the manifest proves it). Time, ids and generations arrive
//! as arguments; decisions leave as enums. Read `ids` for the vocabulary, `session` for the life of one socket,
//! `replace` for two sockets of one agent, `drain` for letting go of many, `reconcile` for rows without sockets and
//! sockets without rows, `close` for every way it ends.

pub mod app;
pub mod close;
pub mod drain;
pub mod ids;
pub mod page;
pub mod reconcile;
pub mod replace;
pub mod session;
pub mod time;
