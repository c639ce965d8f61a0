//! The benchmarks, a file each: what is set up, what is measured, what is reported.

pub(crate) mod apps_fanout;
pub(crate) mod apps_idle;
pub(crate) mod apps_join;
mod arena;
pub(crate) mod connect;
pub(crate) mod fanout;
mod fleet;
pub(crate) mod idle;
pub(crate) mod kill;
pub(crate) mod races;
pub(crate) mod rolling;
mod search;
pub(crate) mod slow;
pub(crate) mod storm;

pub(crate) use arena::Measured;

use crate::{agent::Guest, socketio::Contender};

/// All Socket.IO servers, ours first.
const ALL: [Contender; 3] = [Contender::Presence, Contender::Socketioxide, Contender::SocketIo];

/// Agents spread evenly over classrooms.
fn guests(agents: usize, classrooms: usize) -> Vec<Guest> {
    let guest = |index| Guest {
        label: format!("a{index}"),
        classroom: format!("bench-{}", index % classrooms.max(1)),
    };
    (0..agents).map(guest).collect()
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
fn number(count: usize) -> f64 {
    count as f64
}
