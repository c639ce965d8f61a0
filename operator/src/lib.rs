//! The operator of presence: one `PresenceCluster` becomes a running, secured, observable presence, and stays one.
//!
//! A reconcile is a line: fetch what is there → validate what the spec refers to → [`desired`] objects → [`plan`] what to
//! do now → apply it → status. `validate`, `desired`, `plan` and `status` are pure.

pub mod apply;
pub mod caches;
pub mod cli;
pub mod compare;
pub mod controller;
pub mod crd;
pub mod desired;
pub mod events;
pub mod facts;
pub mod fetch;
pub mod health;
pub mod kinds;
pub mod leader;
pub mod memory;
pub mod object;
pub mod observed;
pub mod operate;
pub mod plan;
pub mod pods;
pub mod queue;
pub mod reconcile;
pub mod rights;
pub mod rotate;
pub mod self_test;
pub mod status;
pub mod telemetry;
pub mod validate;
pub mod watches;
