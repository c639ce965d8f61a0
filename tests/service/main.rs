//! The service tier: what a `presence` process does to those who speak to it, seen from outside.
