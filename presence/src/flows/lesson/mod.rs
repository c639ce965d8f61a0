//! What the classroom's apps ask for: to be let in, to join a lesson, to log out, to take up a lost connection; and what
//! follows when a socket of theirs ends. The contract is section 5 of `docs/PROTOCOL.md`.

mod client;
mod connect;
mod end;
mod join;
mod log_out;
mod notice;
mod recover;
mod refusal;
mod report;
mod who;

pub use client::{Client, InLesson};
pub use connect::{Entrance, Hello, Ids, connect};
pub use end::{end, tell};
pub use join::{Wish, join};
pub use log_out::log_out;
pub use recover::{LeftOff, Recovered};
pub use refusal::Refusal;
pub use who::Claims;
