//! `Authn` and `Authz` from outside: real keys, real files, real HTTP servers on loopback, and a clock set by hand.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod authz_http;
mod embedded;
mod files;
mod hostile;
mod hostile_tokens;
mod jwks;
mod support;
