//! From a scenario to tests: one per kind of stack, each with a runtime and a stack of its own.

use crate::{Kind, Stack};
use anyhow::{Result, anyhow};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;

/// Runs a scenario on a stack of this kind, and fails with its error, or with what the logs say.
pub fn run(kind: Kind, scenario: impl AsyncFnOnce(&mut Stack) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a test has threads to run on").block_on(async {
        let mut stack = Stack::new(kind).unwrap_or_else(|error| panic!("{error:#}"));
        let played = AssertUnwindSafe(scenario(&mut stack)).catch_unwind().await;
        let played = played.unwrap_or_else(|panic| Err(anyhow!("{}", text_of(&*panic))));
        let ended = match played {
            Ok(()) => stack.finish().await,
            failed => failed,
        };
        if let Err(error) = ended {
            panic!("{error:#}\n{}", stack.tails());
        }
    });
}

/// What a panic said.
pub(crate) fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}

/// Makes tests of scenarios: of those under `both` one for each kind of stack, of the others one.
#[macro_export]
macro_rules! scenarios {
    ($(both: $($both:ident),+ ;)? $(alone: $($alone:ident),+ ;)? $(full: $($full:ident),+ ;)?) => {
        mod alone {
            $($(#[test] fn $both() { $crate::scenario::run($crate::Kind::Alone, super::$both); })+)?
            $($(#[test] fn $alone() { $crate::scenario::run($crate::Kind::Alone, super::$alone); })+)?
        }
        mod full {
            $($(#[test] fn $both() { $crate::scenario::run($crate::Kind::Full, super::$both); })+)?
            $($(#[test] fn $full() { $crate::scenario::run($crate::Kind::Full, super::$full); })+)?
        }
    };
}
