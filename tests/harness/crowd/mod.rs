//! A small crowd of clients in the test's own process, each a full one, all writing one history.
//!
//! A test says who is in which classroom and how they behave, gives orders to some, and waits until all are in.

pub mod app;
pub mod chance;
mod entering;
mod member;
mod wire;

use crate::{
    History,
    app::{Opening, Person, Way},
    tokens::{AUDIENCE, Tokens},
    wait,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use app::Guise;
use chance::Chance;
use member::Member;
use presence_core::close::Reason;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// What a crowd may take to settle on a busy machine, after the worst.
const LONG: Duration = Duration::from_mins(1);

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
    /// It connects elsewhere when it is told `terminated`; else it stays until it is closed.
    pub heeds: bool,
    /// A server that sent nothing for so long, not even a ping, is taken for dead.
    pub silence: Duration,
}

/// More than two pings of a server that the tests start.
const SILENCE: Duration = Duration::from_millis(2_500);

impl Manner {
    /// It stays, and comes back when it is lost.
    pub const STILL: Self = Self { deeds: &[], every: 0..1, heeds: true, silence: SILENCE };
    /// The same at a server that pings as rarely as it does by default.
    pub const PATIENT: Self = Self { silence: Duration::from_mins(1), ..Self::STILL };
    /// It stays until it is closed, whatever it is told, and comes back then.
    pub const STUBBORN: Self = Self { heeds: false, ..Self::STILL };
    /// Everything that real clients do, far more often than they do it.
    pub const RESTLESS: Self = Self {
        deeds: &[Deed::Reload, Deed::Vanish, Deed::Return, Deed::Double],
        every: 150..1_500,
        ..Self::STILL
    };
}

/// What a test tells one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Close, and stay away for good.
    Leave,
    /// Drop the connection without a word, and stay away for good.
    Vanish,
    /// Drop the connection without a word, and come back.
    Break,
    /// Read no more from this socket.
    StopReading,
    /// Read again.
    Read,
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
    /// It is a classroom app.
    is_app: bool,
    /// Others of the same account race it: whoever is replaced stays away, and one of them is to be inside.
    rival: bool,
}

impl Client {
    pub fn place(&self) -> Place {
        self.place.borrow().clone()
    }

    pub fn agent_id(&self) -> String {
        agent_id(&self.account, self.is_app)
    }

    pub fn actor(&self, index: usize) -> String {
        format!("{}#{index}", self.account)
    }

    fn has_lost_its_race(&self) -> bool {
        self.rival && matches!(self.place(), Place::Over(why) if why == Reason::Replaced.row().name)
    }

    fn heard(&self) -> Result<u64, NotIn> {
        let (who, place) = (format!("{} in {}", self.account, self.classroom), self.place());
        match place {
            Place::Inside { heard, .. } => Ok(heard),
            Place::Away => Err(NotIn::Yet(who)),
            Place::Over(why) => Err(NotIn::Ever(format!("{who}: {why}"))),
        }
    }
}

/// How an account appears to others: by the label of its door.
fn agent_id(account: &str, is_app: bool) -> String {
    if is_app { format!("app.{account}.{AUDIENCE}") } else { crate::agent_id(account) }
}

/// Why a client that is to be inside is not.
#[derive(Debug, thiserror::Error)]
enum NotIn {
    #[error("{0} is not in yet")]
    Yet(String),
    #[error("{0}, so it stays away, and nobody should have told it so")]
    Ever(String),
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
        self.enter_as((account, classroom), manner, None, false)
    }

    /// The same at the Socket.IO door: the classroom is the lesson.
    pub fn enter_app(&mut self, person: &Person, way: Way, lesson: &str, manner: &Manner) -> Result<()> {
        let opening = Opening::of(person, &self.tokens)?;
        let guise = Guise { person: person.clone(), way, opening };
        self.enter_as((&person.user, lesson), manner, Some(guise), false)
    }

    /// So many clients of one account enter at once, each on whatever replica it finds; whoever is replaced stays away.
    pub fn race(&mut self, account: &str, classroom: &str, rivals: usize) -> Result<()> {
        for _ in 0..rivals {
            self.enter_as((account, classroom), &Manner::STILL, None, true)?;
        }
        Ok(())
    }

    fn enter_as(
        &mut self,
        (account, classroom): (&str, &str),
        manner: &Manner,
        guise: Option<Guise>,
        rival: bool,
    ) -> Result<()> {
        let (token, is_app) = (self.tokens.swift(account)?, guise.is_some());
        let ((orders, heard), (place, seen)) = (mpsc::channel(4), watch::channel(Place::Away));
        let member = Member {
            actor: format!("{account}#{}", self.clients.len()),
            account: account.to_owned(),
            classroom: classroom.to_owned(),
            token,
            guise,
            world: self.world.clone(),
            manner: manner.clone(),
            chance: self.chance.split(),
            orders: heard,
            place,
            knows: None,
            sockets: 0,
            last: None,
            failures: 0,
            doubts: 0,
            parting: JoinSet::new(),
        };
        let (account, classroom) = (account.to_owned(), classroom.to_owned());
        self.clients.push(Client { account, classroom, orders, place: seen, stays: true, is_app, rival });
        self.tasks.spawn(member.run());
        Ok(())
    }

    /// From here on clients only stay, and come back when they are lost.
    pub fn calm(&self) {
        self.calm.send_replace(true);
    }

    pub async fn order(&mut self, index: usize, order: Order) -> Result<()> {
        let client = self.clients.get_mut(index).context("there is no such client")?;
        client.stays &= !matches!(order, Order::Leave | Order::Vanish);
        client.orders.send(order).await.context("the client is over already")
    }

    /// The same to all.
    pub async fn order_all(&mut self, order: Order) -> Result<()> {
        for index in 0..self.clients.len() {
            if self.clients[index].stays {
                self.order(index, order).await?;
            }
        }
        Ok(())
    }

    /// All that are to be inside are, and of rivals one each.
    pub async fn expect_in(&mut self) -> Result<()> {
        let ins = async || Self::settled(&self.all_in());
        wait::eventually_within(LONG, "everybody to be in", ins).await??;
        for client in &mut self.clients {
            client.stays &= !client.has_lost_its_race();
        }
        let (staying, keys) = (self.staying().count(), self.expected().len());
        ensure!(staying == keys, "{staying} clients hold {keys} sessions");
        Ok(())
    }

    fn all_in(&self) -> Vec<NotIn> {
        let hopeful = self.staying().filter(|client| !client.has_lost_its_race());
        let mut out: Vec<_> = hopeful.filter_map(|client| client.heard().err()).collect();
        // Of those who race, somebody is in in the end.
        let inside: BTreeSet<_> =
            self.staying().filter(|client| client.heard().is_ok()).map(|client| &client.account).collect();
        let races: BTreeSet<_> = self.staying().map(|client| &client.account).collect();
        let nobody = races.difference(&inside).map(|account| NotIn::Yet(format!("anybody of {account}")));
        out.extend(nobody);
        out
    }

    /// Nobody is out (ok), somebody still is (the outer error), or somebody is for good (the inner one).
    fn settled(out: &[NotIn]) -> Result<Result<()>> {
        let is_for_ever = |not_in: &&NotIn| matches!(not_in, NotIn::Ever(_));
        let ever: Vec<_> = out.iter().filter(is_for_ever).map(ToString::to_string).collect();
        if !ever.is_empty() {
            return Ok(Err(anyhow!("some were turned away: {}", ever.join("; "))));
        }
        let texts: Vec<_> = out.iter().take(8).map(ToString::to_string).collect();
        ensure!(out.is_empty(), "{} are not in: {}", out.len(), texts.join("; "));
        Ok(Ok(()))
    }

    /// Everybody has been in at least once; some may be on their way again.
    pub async fn expect_in_once(&self) -> Result<()> {
        let history = &self.world.history;
        wait::eventually_within(LONG, "everybody to be in once", async || {
            let (entered, all) = (history.who_entered(), self.clients.len());
            ensure!(entered == all, "{entered} of {all} have entered");
            Ok(())
        })
        .await
    }

    /// Those whose replica this is have gone elsewhere.
    pub async fn expect_gone_from(&self, label: &str) -> Result<()> {
        wait::eventually_within(LONG, "everybody to be elsewhere", async || {
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
        wait::eventually_within(LONG, &what, async || {
            for client in self.staying().filter(|client| client.classroom == classroom) {
                match client.heard() {
                    Ok(heard) => ensure!(heard >= seq, "{} heard up to {heard}", client.account),
                    Err(not_in) => bail!(not_in),
                }
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
