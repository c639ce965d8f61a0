//! Which servers there are at this moment. Each address has a number that is never given to another one, so that an
//! agent which avoids the one it came from avoids no other.

use super::{chance::Chance, conduct::ServerId};
use anyhow::{Context, Result, bail};
use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
pub(crate) struct Directory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// All that there ever were; a server's number is its place here.
    known: Vec<SocketAddr>,
    present: Vec<ServerId>,
}

impl Directory {
    pub(crate) fn new(servers: &[SocketAddr]) -> Self {
        let directory = Self::default();
        directory.set(servers);
        directory
    }

    /// These, and no others any more.
    pub(crate) fn set(&self, servers: &[SocketAddr]) {
        let mut state = self.lock();
        let mut present = vec![];
        for server in servers {
            let place = state.known.iter().position(|known| known == server).unwrap_or_else(|| {
                state.known.push(*server);
                state.known.len() - 1
            });
            let id = ServerId::try_from(place).unwrap_or(ServerId::MAX);
            if !present.contains(&id) {
                present.push(id);
            }
        }
        state.present = present;
    }

    /// Any but that one, if there is another. None where there is no server at all.
    pub(crate) fn choose(
        &self,
        chance: &mut Chance,
        avoid: Option<ServerId>,
    ) -> Option<(ServerId, SocketAddr)> {
        let state = self.lock();
        let others: Vec<ServerId> =
            state.present.iter().copied().filter(|server| Some(*server) != avoid).collect();
        let from = if others.is_empty() { &state.present } else { &others };
        let id = *from.get(chance.index(from.len()))?;
        Some((id, *state.known.get(id as usize)?))
    }

    /// By turns: for who comes first.
    pub(crate) fn turn(&self, number: usize) -> Option<(ServerId, SocketAddr)> {
        let state = self.lock();
        let id = *state.present.get(number.checked_rem(state.present.len())?)?;
        Some((id, *state.known.get(id as usize)?))
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().present.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One address a line; empty lines and those that begin with `#` are passed over.
pub(crate) fn parse(text: &str) -> Result<Vec<SocketAddr>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let servers: Vec<SocketAddr> = lines
        .map(|line| line.parse().with_context(|| format!("`{line}` is no address as in 127.0.0.1:8080")))
        .collect::<Result<_>>()?;
    if servers.is_empty() {
        bail!("there is no address in it");
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn whoever_avoids_one_gets_another_if_there_is_one() {
        let mut chance = Chance::new(1, 1);
        let directory = Directory::new(&[address(1), address(2)]);
        for _ in 0..50 {
            assert_eq!(directory.choose(&mut chance, Some(0)), Some((1, address(2))));
        }
        directory.set(&[address(1)]);
        assert_eq!(directory.choose(&mut chance, Some(0)), Some((0, address(1))));
        assert_eq!(Directory::default().choose(&mut chance, None), None);
    }

    #[test]
    fn a_successor_has_a_number_of_its_own_and_turns_go_round() {
        let directory = Directory::new(&[address(1), address(2)]);
        directory.set(&[address(3), address(2)]);
        let turns: Vec<_> = (0..3).filter_map(|number| directory.turn(number)).collect();
        assert_eq!(turns, [(2, address(3)), (1, address(2)), (2, address(3))]);
        directory.set(&[address(1)]);
        assert_eq!(directory.turn(0), Some((0, address(1))));
        assert_eq!(directory.len(), 1);
    }

    #[test]
    fn a_file_of_servers_has_one_a_line() {
        assert_eq!(parse("# two\n127.0.0.1:1\n\n 127.0.0.1:2 \n").unwrap(), [address(1), address(2)]);
        assert!(parse("#\n").is_err());
        assert!(parse("localhost").unwrap_err().to_string().contains("localhost"));
    }
}
