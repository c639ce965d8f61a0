//! The ports' implementations, one folder or file each. They see ports, never flows, doors or the hub; only the
//! composition root names them.

pub mod bus_in_process;
pub mod bus_nats;
