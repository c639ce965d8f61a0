//! The two packet layers of the Socket.IO door, from their own files: with the whole server around them, a fuzzer would
//! be built for a quarter of an hour, and run slower.

#[path = "../../presence/src/doors/socketio/assembler.rs"]
pub mod assembler;
#[path = "../../presence/src/doors/socketio/engine_packet.rs"]
pub mod engine_packet;
#[path = "../../presence/src/doors/socketio/packet/mod.rs"]
pub mod packet;
#[path = "../../presence/tests/corpus/properties.rs"]
pub mod properties;
