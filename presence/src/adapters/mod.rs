//! The ports, on real things. An adapter sees ports, never flows, doors or the hub; only the composition root names one.

pub mod batch;
pub mod schema;
pub mod session_store_postgres;
pub mod session_store_sqlite;
mod sql;
