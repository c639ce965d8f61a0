//! A WebSocket, for every door that has one: RFC 6455's handshake, and its frames on a TCP connection.

pub mod handshake;
mod socket;

pub use socket::{Limits, Socket};
