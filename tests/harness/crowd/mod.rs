//! A small crowd of clients in the test's own process, each a full one, all writing one history.
//!
//! A test says who is in which classroom and how they behave, gives orders to some, and waits until all are in.

pub mod chance;
mod entering;
mod member;
mod wire;

use crate::{History, tokens::Tokens, wait};
use anyhow::{Context, Result, bail, ensure};
use chance::Chance;
use member::Member;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// Where clients may connect to: a service's addresses, as a load balancer knows them. A dead one may be among them.
#[derive(Debug, Clone, Default)]
pub struct Targets(Arc<Mutex<Vec<Option<SocketAddr>>>>);

impl Targets {
    pub fn set(&self, index: usize, address: Option<SocketAddr>) {
        let mut targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if targets.len() <= index {
            targets.resize(index + 1, None);
        }
        targets[index] = address;
    }

    /// One by chance, and not this one unless there is no other.
    fn other_than(&self, last: Option<usize>, chance: &mut Chance) -> (usize, SocketAddr) {
        let targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = targets.iter().enumerate().filter_map(|(i, at)| Some((i, (*at)?))).collect();
        let others: Vec<_> = all.iter().copied().filter(|(index, _)| Some(*index) != last).collect();
        let nowhere = (0, SocketAddr::from(([127, 0, 0, 1], 9)));
        let among = if others.is_empty() { &all } else { &others };
        if among.is_empty() { nowhere } else { *chance.one_of(among) }
    }
}

/// What clients do by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Closes and connects again within a millisecond, remembering nothing.
    Reload,
    /// Drops the connection without a word, and resumes.
    Vanish,
    /// Closes, stays away for a moment, and comes back as if for the first time.
    Return,
    /// Connects a second time without closing: the second socket takes over.
    Double,
}

/// How a client behaves until the crowd is told to be calm.
#[derive(Debug, Clone)]
pub struct Manner {
    pub deeds: &'static [Deed],
    /// Milliseconds from one deed to the next.
    pub every: Range<u64>,
}

impl Manner {
    /// It stays, and comes back when it is lost.
    pub const STILL: Self = Self { deeds: &[], every: 0..1 };
    /// Everything that real clients do, far more often than they do it.
    pub const RESTLESS: Self =
        Self { deeds: &[Deed::Reload, Deed::Vanish, Deed::Return, Deed::Double], every: 150..1_500 };
}

/// What a test tells one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Close, and stay away for good.
    Leave,
    /// Drop the connection without a word, and stay away for good.
    Vanish,
    /// Read no more from this socket.
    StopReading,
}

/// Where a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Away,
    Inside {
        session_id: i64,
        replica: String,
        /// Everything up to this position is known to it.
        heard: u64,
    },
    /// It does not come back, and why.
    Over(String),
}

/// What all clients share.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) targets: Targets,
    pub(crate) history: History,
    pub(crate) calm: watch::Receiver<bool>,
}

#[derive(Debug)]
pub struct Client {
    pub account: String,
    pub classroom: String,
    orders: mpsc::Sender<Order>,
    place: watch::Receiver<Place>,
    /// It is to be inside when all is quiet.
    pub stays: bool,
}

impl Client {
    pub fn place(&self) -> Place {
        self.place.borrow().clone()
    }

    pub fn agent_id(&self) -> String {
        crate::agent_id(&self.account)
    }

    fn heard(&self) -> Result<u64> {
        match self.place() {
            Place::Inside { heard, .. } => Ok(heard),
            other => bail!("{} in {} is {other:?}", self.account, self.classroom),
        }
    }
}

#[derive(Debug)]
pub struct Crowd {
    pub clients: Vec<Client>,
    world: World,
    calm: watch::Sender<bool>,
    tokens: Arc<Tokens>,
    chance: Chance,
    tasks: JoinSet<()>,
}

impl Crowd {
    pub fn new(targets: Targets, history: History, tokens: Arc<Tokens>, chance: Chance) -> Self {
        let (calm, told) = watch::channel(false);
        let world = World { targets, history, calm: told };
        Self { clients: vec![], world, calm, tokens, chance, tasks: JoinSet::new() }
    }

    /// A client begins its life. Several may be of one account.
    pub fn enter(&mut self, account: &str, classroom: &str, manner: &Manner) -> Result<()> {
        let token = self.tokens.swift(account)?;
        let ((orders, heard), (place, seen)) = (mpsc::channel(4), watch::channel(Place::Away));
        let member = Member {
            actor: format!("{account}#{}", self.clients.len()),
            account: account.to_owned(),
            classroom: classroom.to_owned(),
            token,
            world: self.world.clone(),
            manner: manner.clone(),
            chance: self.chance.split(),
            orders: heard,
            place,
            knows: None,
            sockets: 0,
            last: None,
            failures: 0,
            parting: JoinSet::new(),
        };
        let (account, classroom) = (account.to_owned(), classroom.to_owned());
        self.clients.push(Client { account, classroom, orders, place: seen, stays: true });
        self.tasks.spawn(member.run());
        Ok(())
    }

    /// From here on clients only stay, and come back when they are lost.
    pub fn calm(&self) {
        self.calm.send_replace(true);
    }

    pub async fn order(&mut self, index: usize, order: Order) -> Result<()> {
        let client = self.clients.get_mut(index).context("there is no such client")?;
        client.stays = order == Order::StopReading;
        client.orders.send(order).await.context("the client is over already")
    }

    /// All that are to be inside are.
    pub async fn expect_in(&self) -> Result<()> {
        wait::eventually_within(6 * wait::PATIENCE, "everybody to be in", async || self.all_in()).await
    }

    /// Everybody has been in at least once; some may be on their way again.
    pub async fn expect_in_once(&self) -> Result<()> {
        let history = &self.world.history;
        wait::eventually_within(6 * wait::PATIENCE, "everybody to be in once", async || {
            let (entered, all) = (history.who_entered(), self.clients.len());
            ensure!(entered == all, "{entered} of {all} have entered");
            Ok(())
        })
        .await
    }

    fn all_in(&self) -> Result<()> {
        let out: Vec<_> = self.staying().filter_map(|client| client.heard().err()).collect();
        let texts: Vec<_> = out.iter().take(8).map(ToString::to_string).collect();
        ensure!(out.is_empty(), "{} are not in: {}", out.len(), texts.join("; "));
        Ok(())
    }

    /// Those whose replica this is have gone elsewhere.
    pub async fn expect_gone_from(&self, label: &str) -> Result<()> {
        wait::eventually_within(6 * wait::PATIENCE, "everybody to be elsewhere", async || {
            self.all_in()?;
            let here = |client: &&Client| matches!(client.place(), Place::Inside { replica, .. } if replica == label);
            let left = self.staying().filter(here).count();
            ensure!(left == 0, "{left} are still on {label}");
            Ok(())
        })
        .await
    }

    /// Everybody in the classroom has heard everything up to this position.
    pub async fn expect_heard(&self, classroom: &str, seq: u64) -> Result<()> {
        let what = format!("everybody in {classroom} to hear position {seq}");
        wait::eventually_within(6 * wait::PATIENCE, &what, async || {
            for client in self.staying().filter(|client| client.classroom == classroom) {
                let heard = client.heard()?;
                ensure!(heard >= seq, "{} heard up to {heard}", client.account);
            }
            Ok(())
        })
        .await
    }

    /// Who is to be inside in the end: agent and classroom.
    pub fn expected(&self) -> BTreeSet<(String, String)> {
        self.staying().map(|client| (client.agent_id(), client.classroom.clone())).collect()
    }

    pub fn staying(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| client.stays)
    }

    pub fn classrooms(&self) -> BTreeSet<String> {
        self.clients.iter().map(|client| client.classroom.clone()).collect()
    }

    /// Lets everybody go without a word.
    pub async fn disperse(&mut self) {
        self.tasks.shutdown().await;
    }
}
