//! `presence join`: a client of the native door in a terminal. It shows who is present, who enters and who leaves; it
//! comes back by itself, resumes where it was, and leaves cleanly on Ctrl-C.
//!
//! `known` is what it knows (pure), `socket` one connection, `backoff` how long to wait, this file when to connect again.

mod backoff;
mod known;
mod socket;
#[cfg(test)]
mod tests;
pub(super) mod text;

use super::{Failure, access::Access};
use backoff::backoff;
use known::Known;
use presence_core::ids::{AgentLabel, ClassroomId};
use socket::{Ended, Socket};
use std::io::Write;
use text::printable;
use tokio::{runtime, time::sleep};
use uuid::Uuid;

pub(super) fn run(
    classroom: &ClassroomId,
    label: &AgentLabel,
    access: &Access<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other("start the runtime", error))?;
    let mut visit = Visit { access, known: Known::new(classroom, label), leaving: None, out };
    runtime.block_on(visit.stay())
}

struct Visit<'a> {
    access: &'a Access<'a>,
    known: Known,
    /// The socket that the server asked us to leave: it is closed when another one has taken over.
    leaving: Option<Socket>,
    out: &'a mut dyn Write,
}

impl Visit<'_> {
    async fn stay(&mut self) -> Result<(), Failure> {
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let mut failures = 0;
        loop {
            let connected_before = self.known.connects;
            let mut current = None;
            let ended = tokio::select! {
                ended = self.attend(&mut current) => ended?,
                _ = &mut interrupted => {
                    socket::close(self.leaving.take()).await;
                    socket::close(current).await;
                    return Ok(());
                }
            };
            if self.known.connects > connected_before {
                failures = 0;
            }
            let wait = match ended {
                Ended::Final(why) => return Err(Failure::plain(printable(&why))),
                Ended::Move => {
                    self.leaving = current;
                    continue;
                }
                Ended::Again { after, why } => {
                    failures += 1;
                    let wait = after.unwrap_or_else(|| backoff(failures, Uuid::new_v4().as_u128()));
                    writeln!(self.out, "! {}; again in {} ms", printable(&why), wait.as_millis())?;
                    wait
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                _ = &mut interrupted => return Ok(()),
            }
        }
    }

    /// One socket, from connect to its end.
    async fn attend(&mut self, current: &mut Option<Socket>) -> Result<Ended, Failure> {
        let request = self.known.request(self.access.token()?.expose());
        let socket = match socket::open(&self.access.socket()?, &request).await {
            Ok(socket) => current.insert(socket),
            Err(why) => return Ok(Ended::Again { after: None, why }),
        };
        socket::listen(socket, &mut self.known, &mut self.leaving, self.out).await
    }
}
