//! One classroom's arrivals: a core subscription on what the stream publishes again, and the stream itself for what
//! that lost. It has no task: it runs while its owner polls it, and unsubscribes when it is dropped.

use super::{
    connect::SUBSCRIPTION_CAPACITY,
    error::Error,
    link::{Ground, Link},
    message::Stored,
    read,
    stream::LIVE,
    tracker::{Comparison, Proof, Tracker, Verdict},
};
use crate::ports::bus::{Arrival, Subscription};
use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use presence_core::ids::ClassroomId;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::coop,
    time::{Instant, sleep, sleep_until, timeout},
};

/// A subscription never takes longer than this; what it could not learn in time, it learns when it is polled.
const ATTACH_WITHIN: Duration = Duration::from_millis(300);
/// After a reconnect, all subscriptions of the process settle, a few at a time: this is mostly the wait for a turn,
/// which would be lost by giving up. (5,000 classrooms took one second where one in
/// a hundred had missed something, and 12 to 17 where all had, with the server on the same two busy cores.)
const SETTLE_WITHIN: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A replica may lag behind for so many attempts; then what it cannot prove is given up.
const PATIENT_FOR: u32 = 3;

pub(super) async fn subscribe(link: Arc<Link>, classroom: ClassroomId) -> Subscription {
    let mut arrivals = Arrivals::new(link, classroom);
    match timeout(ATTACH_WITHIN, arrivals.attach()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "subscribed without NATS"),
        Err(_) => tracing::debug!("subscribed without an answer of NATS"),
    }
    let position = arrivals.begin();
    let arrivals = futures_util::stream::unfold(arrivals, |mut arrivals| async move {
        let arrival = arrivals.next().await?;
        Some((arrival, arrivals))
    });
    Subscription { position, arrivals: arrivals.boxed() }
}

struct Arrivals {
    link: Arc<Link>,
    classroom: ClassroomId,
    live: Option<Subscriber>,
    /// How many messages came without the queue ever being seen empty.
    run: usize,
    /// `None`: not even a first position is known.
    tracker: Option<Tracker>,
    /// The stream that the tracker's positions belong to.
    created: Option<Arc<str>>,
    /// What continuity rests on; `None` while it is in doubt. Nothing live is handed on in doubt.
    ground: Option<Ground>,
    /// Bounded by what one read may bring.
    waiting: VecDeque<Arrival>,
    news: watch::Receiver<u64>,
    check_at: Instant,
    failures: u32,
}

enum Wake {
    Live(Option<Message>),
    News,
    Check,
}

impl Arrivals {
    fn new(link: Arc<Link>, classroom: ClassroomId) -> Self {
        let mut arrivals = Self {
            news: link.news(),
            link,
            classroom,
            live: None,
            run: 0,
            tracker: None,
            created: None,
            ground: None,
            waiting: VecDeque::new(),
            check_at: Instant::now(),
            failures: 0,
        };
        arrivals.plan_check();
        arrivals
    }

    /// Listens, and learns where the stream ends, in this order: whatever comes after that end will be heard.
    async fn attach(&mut self) -> Result<(), Error> {
        self.listen().await?;
        let ground = self.link.ground();
        let info = self.link.info_shared().await?;
        self.created = Some(info.created.as_str().into());
        self.tracker = Some(Tracker::new(info.state.last_seq));
        self.ground = Some(ground);
        Ok(())
    }

    async fn listen(&mut self) -> Result<(), Error> {
        self.link.ready().await?;
        if self.live.is_none() {
            let subject = format!("{LIVE}.{}.*", self.classroom);
            let live = self.link.client.subscribe(subject).await.map_err(Error::answered)?;
            self.live = Some(live);
        }
        Ok(())
    }

    /// Where this subscription begins: at the stream's end, or at the highest position that anybody here has seen.
    fn begin(&mut self) -> u64 {
        if self.tracker.is_none() {
            let highest = self.link.highest();
            self.created = self.link.created();
            self.tracker = (highest > 0).then(|| Tracker::new(highest));
        }
        self.tracker.as_ref().map_or(0, Tracker::delivered)
    }

    async fn next(&mut self) -> Option<Arrival> {
        loop {
            if let Some(arrival) = self.waiting.pop_front() {
                return Some(arrival);
            }
            coop::consume_budget().await;
            if self.ground != Some(self.link.ground()) {
                self.settle_or_pause().await;
                continue;
            }
            match self.wake().await {
                Wake::Live(Some(message)) => self.take(message),
                // The connection's own task is gone, and with it the process's bus.
                Wake::Live(None) => return None,
                Wake::News => {}
                Wake::Check => self.check().await,
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let Some(live) = &mut self.live else {
            return Wake::News;
        };
        let run = &mut self.run;
        // Without the runtime's budget, so that `Pending` means what it says: the queue is empty.
        let message = coop::unconstrained(std::future::poll_fn(|context| {
            let polled = live.poll_next_unpin(context);
            *run = if polled.is_pending() { 0 } else { *run + 1 };
            polled
        }));
        tokio::select! {
            // What waits is heard before the stream is asked about it. A queue that is never empty is not checked, and
            // need not be: it settles whenever it may have overflown.
            biased;
            _ = self.news.changed() => Wake::News,
            message = message => Wake::Live(message),
            () = sleep_until(self.check_at) => Wake::Check,
        }
    }

    fn take(&mut self, message: Message) {
        // A full queue drops what comes next, and this many were waiting in a row: the next may come after a hole.
        let may_have_overflown = self.run >= SUBSCRIPTION_CAPACITY;
        // It came over another connection, or of another stream: reading brings it in its place.
        let is_other_ground = self.ground != Some(self.link.ground());
        let Some(stored) = Stored::live(message, &self.link.options.stream.name) else {
            return;
        };
        if may_have_overflown || is_other_ground || self.link.is_jump(stored.seq) {
            self.run = 0;
            self.ground = None;
            return;
        }
        let Some(tracker) = &mut self.tracker else {
            self.ground = None;
            return;
        };
        let before = tracker.delivered();
        match tracker.live(&stored.topic, stored.seq, stored.previous) {
            Verdict::Deliver => self.hand_on(&stored),
            Verdict::Seen => {}
            Verdict::Missing => self.ground = None,
            Verdict::GapThenDeliver => {
                self.gap(before);
                self.hand_on(&stored);
            }
            Verdict::GapInstead => self.gap(before),
        }
        self.link.saw(stored.seq);
    }

    fn hand_on(&mut self, stored: &Stored) {
        let event = stored.event(&self.classroom, &self.link);
        self.waiting.extend(event.map(Arrival::Event));
    }

    fn gap(&mut self, position: u64) {
        tracing::debug!(classroom.id = %self.classroom, position, "announced a gap");
        self.waiting.push_back(Arrival::Gap { position });
    }

    async fn settle_or_pause(&mut self) {
        match timeout(SETTLE_WITHIN, self.settle()).await {
            Ok(Ok(())) => self.failures = 0,
            Ok(Err(error)) => self.pause(&error).await,
            Err(_) => self.pause(&Error::TimedOut).await,
        }
    }

    /// Until there is news of the connection, or a while that grows to five seconds.
    async fn pause(&mut self, error: &Error) {
        tracing::debug!(%error, classroom.id = %self.classroom, "could not catch up yet");
        let full = Duration::from_millis(100 << self.failures.min(6)).min(LONGEST_PAUSE);
        let pause = self.spread(full);
        self.failures = self.failures.saturating_add(1);
        tokio::select! {
            biased;
            _ = self.news.changed() => {}
            () = sleep(pause) => {}
        }
    }

    /// Brings what may have been missed, from the stream itself.
    async fn settle(&mut self) -> Result<(), Error> {
        self.listen().await?;
        // Taken first: if it changes while we read, it is all done once more.
        let ground = self.link.ground();
        let info = self.link.info_shared().await?;
        let end = info.state.last_seq;
        let same_stream = self.created.as_deref() == Some(info.created.as_str());
        let from = self.tracker.as_ref().map(Tracker::delivered);
        match from.filter(|from| same_stream && *from <= end) {
            Some(from) => {
                self.prove_behind(from).await?;
                let created = self.created.clone();
                let found = read::range(&self.link, &self.classroom, (from, end), created.as_ref()).await?;
                self.bring(found, end);
            }
            // Nothing was known, it is another stream, or it lost its tail.
            None => self.restart(end),
        }
        self.created = Some(info.created.as_str().into());
        self.ground = Some(ground);
        self.plan_check();
        Ok(())
    }

    /// Reading goes on from `from`; so a hole behind it must be found before, or it never will be.
    async fn prove_behind(&mut self, from: u64) -> Result<(), Error> {
        if self.tracker.as_ref().is_none_or(Tracker::is_settled) {
            return Ok(());
        }
        let lasts = read::lasts(&self.link, &self.classroom, Some(from)).await?;
        let proof = match (&lasts, &mut self.tracker) {
            (Some(lasts), Some(tracker)) => tracker.prove(lasts.iter()),
            _ => Proof::Lost,
        };
        match proof {
            Proof::Whole => {}
            Proof::Lagging if self.failures < PATIENT_FOR => return Err(Error::Lagging),
            Proof::Lost | Proof::Lagging => self.restart(from),
        }
        Ok(())
    }

    fn bring(&mut self, found: Option<Vec<Stored>>, end: u64) {
        let (Some(found), Some(tracker)) = (found, &mut self.tracker) else {
            self.restart(end);
            return;
        };
        tracker.restart(end);
        for stored in &found {
            self.hand_on(stored);
        }
    }

    fn restart(&mut self, position: u64) {
        self.tracker = Some(Tracker::new(position));
        self.gap(position);
    }

    /// Asks the stream where each topic ends: so a loss is noticed that no later message would tell of.
    async fn check(&mut self) {
        self.plan_check();
        let asking = timeout(SETTLE_WITHIN, read::lasts(&self.link, &self.classroom, None)).await;
        let lasts = match asking.unwrap_or(Err(Error::TimedOut)) {
            Ok(Some(lasts)) => lasts,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, classroom.id = %self.classroom, "could not compare with the stream");
                self.ground = None;
                return;
            }
        };
        let Some(tracker) = &mut self.tracker else { return };
        // A stream that ends before what was settled is another one, or lost its tail.
        if !lasts.is_empty() && lasts.as_of < tracker.settled() {
            self.ground = None;
            return;
        }
        let delivered = tracker.delivered();
        match tracker.compare(lasts.iter(), lasts.as_of) {
            Comparison::Whole => {}
            Comparison::Behind => self.ground = None,
            Comparison::Lost => self.gap(delivered),
        }
    }

    fn plan_check(&mut self) {
        self.check_at = Instant::now() + self.spread(self.link.options.check_every);
    }

    /// Give or take a quarter, so that subscriptions do not ask as one.
    fn spread(&self, around: Duration) -> Duration {
        let part = u32::try_from(self.link.clock.chance() % 512).unwrap_or(0);
        around.saturating_mul(768 + part) / 1024
    }
}
