//! The operator of presence: one `PresenceCluster` becomes a running, secured, observable presence, and stays one.
//!
//! A reconcile is a line: fetch what is there → validate what the spec refers to → [`desired`] objects → [`plan`] what to
//! do now → apply it → status. `validate`, `desired`, `plan` and `status` are pure.

pub mod crd;
pub mod desired;
pub mod facts;
pub mod object;
pub mod observed;
pub mod plan;
pub mod rotate;
pub mod status;
pub mod validate;
