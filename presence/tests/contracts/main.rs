//! One suite per port, run against every adapter, on real servers and files.

mod session_store;
