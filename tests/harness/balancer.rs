//! A load balancer without sticky sessions: each connection goes to the next replica in turn, whoever it is of.
//!
//! A replica that takes no connection is passed over, as a balancer does before it has been told. What is under way
//! stays where it is until it ends.

use anyhow::{Context, Result};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// It works for as long as any of its handles is there.
#[derive(Debug, Clone)]
pub struct Balancer {
    /// Where clients go.
    pub address: SocketAddr,
    turns: Arc<Mutex<Turns>>,
    _running: Arc<JoinSet<()>>,
}

#[derive(Debug)]
struct Turns {
    targets: Vec<Target>,
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    address: SocketAddr,
    /// Connections that were carried there.
    carried: u64,
}

impl Balancer {
    pub async fn over(targets: &[SocketAddr]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a balancer")?;
        let address = listener.local_addr().context("find a balancer's address")?;
        let targets = targets.iter().map(|&address| Target { address, carried: 0 }).collect();
        let turns = Arc::new(Mutex::new(Turns { targets, next: 0 }));
        let mut running = JoinSet::new();
        running.spawn(balance(listener, turns.clone()));
        Ok(Self { address, turns, _running: Arc::new(running) })
    }

    /// Sends nobody there from here on, as once a replica is not ready.
    pub fn remove(&self, target: SocketAddr) {
        lock(&self.turns).targets.retain(|known| known.address != target);
    }

    pub fn add(&self, target: SocketAddr) {
        lock(&self.turns).targets.push(Target { address: target, carried: 0 });
    }

    /// How many connections each of those it knows was given.
    pub fn carried(&self) -> Vec<u64> {
        lock(&self.turns).targets.iter().map(|target| target.carried).collect()
    }
}

fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turns {
    /// Whose turn it is.
    fn take(&mut self) -> Option<SocketAddr> {
        self.next = self.next.wrapping_add(1);
        let turn = self.next.checked_rem(self.targets.len())?;
        Some(self.targets[turn].address)
    }

    fn count(&mut self, target: SocketAddr) {
        if let Some(target) = self.targets.iter_mut().find(|known| known.address == target) {
            target.carried += 1;
        }
    }
}

async fn balance(listener: TcpListener, turns: Arc<Mutex<Turns>>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(carry(near, turns.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn carry(mut near: TcpStream, turns: Arc<Mutex<Turns>>) {
    let tries = lock(&turns).targets.len();
    for _ in 0..tries {
        let Some(target) = lock(&turns).take() else { return };
        let Ok(mut far) = TcpStream::connect(target).await else { continue };
        lock(&turns).count(target);
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let _ = copy_bidirectional(&mut near, &mut far).await;
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Says its name to whoever comes.
    async fn named(name: u8, tasks: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let _ = tcp.write_all(&[name]).await;
            }
        });
        address
    }

    async fn whose(balancer: &Balancer) -> Option<u8> {
        let mut tcp = TcpStream::connect(balancer.address).await.unwrap();
        tcp.read_u8().await.ok()
    }

    #[tokio::test]
    async fn turns_go_round_and_the_dead_are_passed_over() {
        let mut tasks = JoinSet::new();
        let (a, b) = (named(b'a', &mut tasks).await, named(b'b', &mut tasks).await);
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let balancer = Balancer::over(&[a, b, nobody]).await.unwrap();
        for _ in 0..12 {
            assert!(whose(&balancer).await.is_some());
        }
        let carried = balancer.carried();
        assert!(carried[0] >= 4 && carried[1] >= 4 && carried[2] == 0, "{carried:?}");
        balancer.remove(a);
        assert_eq!(whose(&balancer).await, Some(b'b'));
        balancer.remove(b);
        assert_eq!(whose(&balancer).await, None);
        balancer.add(a);
        assert_eq!(whose(&balancer).await, Some(b'a'));
    }
}
