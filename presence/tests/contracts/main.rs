//! One suite per port, run against every adapter, on real servers and files.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where it stopped"
)]

mod session_store;
