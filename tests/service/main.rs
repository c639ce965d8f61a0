//! The service tier: what a `presence` process does to those who speak to it, seen from outside.
//!
//! A file is a subject; the `scenarios!` at its top lists what is shown there, and on which stacks.

mod admission;
mod app_frames;
mod app_returns;
mod apps;
mod balancer;
mod command_line;
mod crashing;
mod draining;
mod draining_together;
mod engine_io;
mod entering;
mod first_frames;
mod forwarding;
mod hostile_tokens;
mod http_api;
mod internal_api;
mod leases;
mod lesson_state;
mod lessons;
mod limits;
mod outages;
mod replacing;
mod replicas;
mod resuming;
mod shutting_down;
mod slow_consumers;
mod socket_io;
mod timers;
pub mod wire;
