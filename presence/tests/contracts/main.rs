//! One suite per port, run against every adapter, on real servers and files.

#![expect(clippy::unwrap_used, reason = "what the tests stand on fails like a test")]

mod analytics;
mod analytics_double;
mod bus;
mod bus_auth;
mod bus_faults;
mod bus_fixture;
mod bus_kit;
mod bus_storm;
mod bus_stream;
mod foreign;
mod lesson_state;
mod lessons;
mod notices;
mod peers;
mod session_store;
