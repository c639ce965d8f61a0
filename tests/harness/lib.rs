//! The harness of the tiers on real processes: real `presence` servers, real clients, real outages.
//!
//! In the service tier a scenario gets a `Stack` and starts servers on it; `scenarios!` makes a test of it for each kind
//! of stack. In the chaos tier it gets a `Stage` with a `Cluster` of three and a `Crowd`, and ends in the checker. Every
//! wait has a deadline and says what it waited for; absence is proved by a later event, never by sleeping. At its end
//! the log of each process is read: a panic, or a warning that the scenario does not expect, fails the test.

pub mod admin;
pub mod agent;
pub mod app;
pub mod balancer;
pub mod cluster;
pub mod crowd;
pub mod database;
pub mod dump;
pub mod environment;
pub mod foreign;
pub mod gossip;
pub mod history;
pub mod http;
pub mod judge;
pub mod keys;
pub mod kube;
pub mod lesson_dump;
pub mod lessons;
pub mod link;
pub mod log;
pub mod nats_server;
pub mod postgres_server;
pub mod process;
pub mod publisher;
pub mod raw;
pub mod redis_server;
pub mod reference;
pub mod scenario;
pub mod server;
pub mod socket;
pub mod stack;
pub mod stage;
pub mod tokens;
pub mod wait;
pub mod witness;

pub use agent::Agent;
pub use anyhow::{Context, Error, Result, bail, ensure};
pub use app::{App, Heard, Opening, Person, Way};
pub use balancer::Balancer;
pub use cluster::Cluster;
pub use database::Database;
pub use foreign::{Foreign, Library};
pub use history::History;
pub use keys::Keys;
pub use lessons::Lesson;
pub use link::{Link, Mode};
pub use raw::Raw;
pub use server::Server;
pub use socket::{Frame, Socket};
pub use stack::{Kind, Stack};
pub use stage::{Cast, Stage};
pub use tokens::{agent_id, request};
pub use wait::{eventually, within};
