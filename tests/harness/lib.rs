//! The harness of the service tier: real `presence` processes, real clients, real outages.
//!
//! A scenario gets a `Stack` and starts servers on it; `scenarios!` makes a test of it for each kind of stack. Every
//! wait has a deadline and says what it waited for; absence is proved by a later event, never by sleeping. At its end
//! the log of each process is read: a panic, or a warning that the scenario does not expect, fails the test.

pub mod admin;
pub mod agent;
pub mod database;
pub mod environment;
pub mod http;
pub mod link;
pub mod log;
pub mod process;
pub mod publisher;
pub mod raw;
pub mod scenario;
pub mod server;
pub mod socket;
pub mod stack;
pub mod tokens;
pub mod wait;

pub use agent::Agent;
pub use anyhow::{Context, Error, Result, bail, ensure};
pub use link::Link;
pub use raw::Raw;
pub use server::Server;
pub use socket::{Frame, Socket};
pub use stack::{Kind, Stack};
pub use tokens::{agent_id, request};
pub use wait::{eventually, within};
