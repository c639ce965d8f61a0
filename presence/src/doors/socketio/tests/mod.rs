//! The door over real connections, with a conversation that says back what it hears: what carries it is on trial here.

mod client;
mod limits;
mod polling;
mod upgrading;
mod websocket;

use super::*;
use crate::{
    adapters::clock_system::SystemClock,
    app,
    config::{Config, Environment},
    conversation::{Conversation, Desk, Heard, Said, Served, Words},
    deps::Deps,
    doors::http::tests::world::World,
    engine::Engine,
    lifecycle::{
        serve::{self, Cap},
        tasks::Tasks,
    },
    runner::run,
    telemetry::Metrics,
};
use bytes::Bytes;
use presence_core::{
    close::Reason,
    time::{Time, UnixMicros},
};
use std::net::SocketAddr;

/// A replica with the door alone.
struct Place {
    engine: Arc<Engine>,
    door: Arc<Door>,
    address: SocketAddr,
}

impl Place {
    fn open(settings: &[(&str, &str)]) -> Self {
        let environment: Environment = settings.iter().map(|(name, value)| (*name, *value)).collect();
        let deps = Arc::new(Deps {
            store: Arc::new(World),
            bus: Arc::new(World),
            peers: Arc::new(World),
            authn: Arc::new(World),
            authz: Arc::new(World),
            clock: Arc::new(SystemClock::start()),
            metrics: Arc::new(Metrics::new(UnixMicros(0))),
            config: Arc::new(Config::load(None, &environment).unwrap()),
        });
        let engine = Arc::new(app::engine(deps, Tasks::default()));
        let admission = Arc::new(Admission::new(engine.clone()));
        let begin = {
            let (engine, terms) = (engine.clone(), terms(&engine));
            move |connection, opening, permit| -> BoxFuture<'static, ()> {
                let echo = Echo { opening, said: None };
                Box::pin(run(engine.clone(), terms, (connection, echo), permit))
            }
        };
        let door = Door::new(engine.clone(), admission, Box::new(begin));
        let listener = serve::bind(([127, 0, 0, 1], 0).into(), "a test").unwrap();
        let address = listener.local_addr().unwrap();
        let cap = Cap { most: 64, refused: Box::new(|| {}) };
        engine.tasks.start("door", serve::serve(listener, routes(door.clone()), engine.tasks.clone(), cap));
        Self { engine, door, address }
    }

    fn metric(&self, line: &str) -> bool {
        self.engine.deps.metrics.text().unwrap().lines().any(|found| found == line)
    }

    /// Waits until no client polls any more.
    async fn nobody_polls(&self) {
        eventually(|| self.engine.deps.metrics.polling.get() == 0).await;
    }
}

/// Waits for what happens in other tasks.
async fn eventually(mut is_so: impl FnMut() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), so).await.expect("it comes to that");
}

/// Lets everybody in, and says back what it hears. It knows some orders, too.
struct Echo {
    opening: Opening,
    said: Option<Said>,
}

impl Conversation for Echo {
    fn hear(&mut self, said: Said) -> Heard {
        if said == Said::Text("bye".into()) {
            return Heard::Goodbye;
        }
        self.said = Some(said);
        Heard::Request
    }

    async fn serve(&mut self, Desk { engine, mailbox, .. }: Desk<'_>) -> Served {
        match self.said.take().unwrap() {
            Said::Text(text) if text == "0" => {
                let guest = engine.ledger.welcome(mailbox);
                let role = self.opening.role.as_deref().unwrap_or("none");
                let hello = format!("4hello {role}").into();
                Served::Admitted { guest, expires: Time(u64::MAX), frames: vec![hello] }
            }
            Said::Text(text) if text.starts_with(b"flood ") => {
                let number = std::str::from_utf8(&text[6..]).unwrap().parse().unwrap();
                let line = |at: usize| Bytes::from(format!("4{at:0>1000}"));
                Served::Answered((0..number).map(line).collect())
            }
            Said::Text(text) => Served::Answered(vec![[b"4", &text[..]].concat().into()]),
            Said::Binary(bytes) => Served::Answered(vec![format!("4{} bytes", bytes.len()).into()]),
        }
    }

    fn ending(&mut self, reason: Reason, _: &Words) -> Vec<Bytes> {
        if reason == Reason::SlowConsumer { vec!["4too slow".into()] } else { vec![] }
    }

    async fn over(&mut self, _: &Engine, _: bool) {}
}

#[test]
fn an_idle_client_costs_no_more_state_than_this() {
    fn of<F>(_: impl Fn(Arc<Engine>, Terms, (Connection, Talk), Permit) -> F) -> usize {
        size_of::<F>()
    }
    let size = of(run::<Connection, Talk, Permit>);
    assert!(size <= 2048, "{size} bytes for each");
}
