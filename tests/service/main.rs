//! The service tier: what a `presence` process does to those who speak to it, seen from outside.
//!
//! A file is a subject; the `scenarios!` at its top lists what is shown there, and on which stacks.

mod entering;
mod replacing;
