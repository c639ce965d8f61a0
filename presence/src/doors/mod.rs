//! Where requests come in: a door parses, calls one flow, and renders. It decides nothing.

pub mod health;
pub mod http;
