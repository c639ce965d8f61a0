//! The chaos tier: three real processes on one database and one stream, a crowd of clients, and faults.
//!
//! Every scenario is a named test: arrange, load, fault, heal, quiet, judge. What it proves is the checker's verdict on
//! the history that everybody wrote. Those in a module `short` are played in every run, the others in the whole matrix.
//! `docs/FAULTS.md` lists what is expected of each fault.

mod apps;
mod book;
mod crowding;
mod draining;
mod killing;
mod nats;
mod postgres;
mod stopping;
