//! The world behind the ports, one adapter a file or folder. An adapter sees ports and nothing above them; only the
//! composition root names one.
//! The ports, on real things. An adapter sees ports, never flows, doors or the hub; only the composition root names one.

pub mod analytics_mixpanel;
pub mod analytics_none;
pub mod authn_jwt;
pub mod authz_allow;
mod authz_cache;
pub mod authz_claims;
pub mod authz_http;
pub mod batch;
pub mod bus_in_process;
pub mod bus_nats;
pub mod clock_system;
pub mod crypto;
mod lesson_keys;
pub mod lesson_state_in_process;
pub mod lesson_state_redis;
pub mod notices_alone;
mod outbound;
pub mod peers_alone;
mod recent;
pub mod schema;
pub mod session_store_postgres;
pub mod session_store_sqlite;
mod sql;
