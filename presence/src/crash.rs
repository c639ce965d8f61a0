//! Places where a debug build can be told to die: `CRASH_AT=connect.claimed:3` ends the process, as `kill -9` does, when
//! it passes that place for the third time. A release build passes them all.

/// A place where it would be worst to die.
#[cfg(not(debug_assertions))]
pub const fn point(_: &'static str) {}

#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };
    static AT: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let wanted = std::env::var("CRASH_AT").ok()?;
        let (name, passes) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some((name.to_owned(), AtomicU64::new(passes.parse().ok()?)))
    });
    if let Some((wanted, left)) = &*AT
        && wanted == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}
