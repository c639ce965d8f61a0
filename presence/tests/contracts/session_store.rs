//! The contract of `SessionStore`, `Outbox`, `Replicas` and `Audit`: every test here runs on PostgreSQL and on SQLite.
//!
//! It needs `PRESENCE_TEST_POSTGRES`, the URL of a superuser; each test makes a database of its own.

mod audit;
mod batching;
mod claims;
mod failovers;
mod fences;
mod invariants;
mod outbox;
mod postgres;
mod proxy;
mod races;
mod reads;
mod releases;
mod replicas;
mod schemas;
mod sqlite;
pub(crate) mod stage;
mod whereabouts;
