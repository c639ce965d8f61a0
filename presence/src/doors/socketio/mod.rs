//! The Socket.IO door: `/socket.io/`. Engine.IO v4 (polling, WebSocket, upgrade) and Socket.IO v5 in front of the same
//! runner, mailbox, timers and drain as the native door. See `docs/adr/0010-socket-io-door.md`.

<<<<<<< HEAD
mod forward;
=======
pub mod assembler;
pub mod engine_packet;
>>>>>>> state
mod opening;
pub mod packet;
mod sid;
mod talk;
mod words;

pub use forward::{Siblings, arrived};
pub use opening::Opening;
pub use sid::{EngineId, recovery_id, socket_id};
pub use talk::Talk;
