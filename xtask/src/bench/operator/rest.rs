//! Rest: when it has begun, and what it takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::audit::{Audit, Call};
use super::process::{Memory, Operator};
use crate::process::check_interrupted;

/// For so long nothing was written.
const QUIET: Duration = Duration::from_secs(30);
/// An operator that writes for longer never rests.
const QUIET_WITHIN: Duration = Duration::from_mins(10);
const POLL: Duration = Duration::from_secs(1);
const TELL: Duration = Duration::from_secs(30);

/// Waits until the operator has stopped writing.
pub(super) fn settled(audit: &mut Audit) -> Result<()> {
    println!("bench: waiting until the operator has written nothing for {} s …", QUIET.as_secs());
    let (started, mut quiet, mut last) = (Instant::now(), Instant::now(), None);
    while quiet.elapsed() < QUIET {
        if let Some(call) = audit.look()?.into_iter().rfind(Call::writes) {
            (quiet, last) = (Instant::now(), Some(call));
        }
        if started.elapsed() > QUIET_WITHIN {
            bail!("the operator still writes after {} s: {last:?}", QUIET_WITHIN.as_secs());
        }
        pause()?;
    }
    Ok(())
}

fn pause() -> Result<()> {
    check_interrupted()?;
    std::thread::sleep(POLL);
    Ok(())
}

#[derive(Debug)]
pub(super) struct Rest {
    /// At its end.
    pub(super) memory: Memory,
    /// How often what was asked.
    pub(super) calls: BTreeMap<String, usize>,
    all: Vec<Call>,
    /// Absent where only the memory was looked at.
    over: Option<Over>,
}

#[derive(Debug, Clone, Copy)]
struct Over {
    time: Duration,
    cpu: f64,
}

impl Rest {
    pub(super) fn unmeasured(memory: Memory) -> Self {
        Self { memory, calls: BTreeMap::new(), all: Vec::new(), over: None }
    }

    pub(super) fn measure(operator: &Operator, audit: &mut Audit, time: Duration) -> Result<Self> {
        println!("bench: measuring {} s of rest …", time.as_secs());
        let (mut all, cpu, started) = (audit.look()?, operator.cpu()?, Instant::now());
        all.clear(); // of the time before
        let mut told = Instant::now();
        while started.elapsed() < time {
            pause()?;
            all.extend(audit.look()?);
            if told.elapsed() > TELL {
                told = Instant::now();
                let (memory, passed) = (operator.memory()?, started.elapsed().as_secs());
                println!("bench:   {passed} s: {} requests, RSS {} KiB", all.len(), memory.rss);
            }
        }
        let over = Over { time: started.elapsed(), cpu: operator.cpu()? - cpu };
        let mut calls = BTreeMap::new();
        for call in &all {
            *calls.entry(format!("{} {}", call.verb, call.resource)).or_default() += 1;
        }
        Ok(Self { memory: operator.memory()?, calls, all, over: Some(over) })
    }

    pub(super) fn writes(&self) -> usize {
        self.all.iter().filter(|call| call.writes()).count()
    }

    /// Requests in all, by verb, the lease's, writes (these in all), and CPU.
    pub(super) fn per_minute(&self) -> Vec<Value> {
        let Some(over) = self.over else { return vec![Value::Null; 7] };
        let minutes = over.time.as_secs_f64() / 60.0;
        let rate = |of: &dyn Fn(&Call) -> bool| {
            let count = self.all.iter().filter(|call| of(call)).count();
            json!(f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / minutes)
        };
        let verb = |verb: &'static str| rate(&move |call| call.verb == verb && !call.is_lease());
        vec![
            rate(&|_| true),
            verb("get"),
            verb("list"),
            verb("watch"),
            rate(&Call::is_lease),
            json!(self.writes()),
            json!(over.cpu / minutes),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_the_minute_and_writes_one_by_one() {
        let call = |verb: &str, resource: &str| Call { verb: verb.into(), resource: resource.into() };
        let rest = Rest {
            all: vec![
                call("get", "secrets"),
                call("get", "leases"),
                call("update", "leases"),
                call("watch", "pods"),
                call("patch", "presenceclusters/status"),
            ],
            over: Some(Over { time: Duration::from_mins(2), cpu: 3.0 }),
            ..Rest::unmeasured(Memory::default())
        };
        assert_eq!(rest.writes(), 1);
        let told = [2.5, 0.5, 0.0, 0.5, 1.0].map(|it| json!(it)).into_iter().chain([json!(1), json!(1.5)]);
        assert_eq!(rest.per_minute(), told.collect::<Vec<_>>());
        assert_eq!(Rest::unmeasured(Memory::default()).per_minute().len(), 7);
    }
}
