//! Scenes: a few steps in an order that chance seldom finds, for what leaves no trace that a checker could tell from a
//! legal one. Each is played twice, with the defect that it is about and without it.

use crate::{
    agent::Stage,
    replica::Replica,
    run::runtime,
    socket::{Hello, Known, News, Socket, knock, known},
    world::{World, defect::Defect, identity::AUDIENCE, process::Side},
};
use presence_api::{
    frames::Resume,
    history::{Act, Key},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// Two replicas and one agent.
struct Scene {
    stage: Arc<Stage>,
    first: Arc<Replica>,
    second: Arc<Replica>,
    known: Known,
    sockets: u64,
}

impl Scene {
    /// Plays a scene with the defect or without it.
    fn play<T>(defect: Option<Defect>, scene: impl AsyncFnOnce(Self) -> T) -> T {
        runtime().block_on(async {
            let world = World::new(1, defect, false);
            world.weather.calm_down();
            let (stage, mains) = (Stage::new(&world), TaskTracker::new());
            let start = |label| stage.fleet.start(&world, label, &mains);
            let (first, second) = (start("presence-first"), start("presence-second"));
            // Whoever is to sweep has renewed for a whole lease.
            sleep(Duration::from_secs(20)).await;
            scene(Self { stage, first, second, known: Known::default(), sockets: 0 }).await
        })
    }

    fn hello(&mut self, resume: Option<Resume>) -> Hello {
        self.sockets += 1;
        Hello {
            actor: "client".to_owned(),
            label: "web".to_owned(),
            account: "ada".to_owned(),
            key: Key { agent_id: format!("web.ada.{AUDIENCE}"), classroom_id: "room".to_owned() },
            number: self.sockets,
            resume,
            until: i64::MAX / 2,
        }
    }

    fn knocking(
        &mut self,
        at: &Replica,
        resume: Option<Resume>,
    ) -> impl Future<Output = Option<Socket>> + use<> {
        let (world, end, hello, known) =
            (self.stage.world.clone(), at.accept(), self.hello(resume), self.known.clone());
        async move { knock(&world, hello, end, &known).await.ok() }
    }

    fn session(&self) -> Option<i64> {
        known(&self.known).map(|known| known.session_id)
    }

    fn published(&self) -> Vec<String> {
        let history = self.stage.world.take_history();
        let name = |act: Act| match act {
            Act::Published { id, .. } => Some(id.operation),
            _ => None,
        };
        history.into_iter().filter_map(|entry| name(entry.act)).collect()
    }
}

/// A replica hears a request and falls asleep; its client goes elsewhere; then it wakes, and goes on with what it was
/// about to do. What comes of the agent's socket elsewhere?
async fn a_claim_that_was_slept_over(mut scene: Scene) -> Option<News> {
    let (first, second) = (scene.first.clone(), scene.second.clone());
    first.process.cut(Side::Store, true);
    let attempt = scene.knocking(&first, None);
    let gave_up = timeout(Duration::from_millis(200), attempt).await.is_err();
    assert!(gave_up, "nobody is let in without a store");
    first.process.stop();
    first.process.cut(Side::Store, false);
    let mut socket = scene.knocking(&second, None).await.expect("nobody holds the session");
    sleep(Duration::from_secs(20)).await;
    first.process.wake();
    timeout(Duration::from_secs(20), socket.next()).await.ok()
}

#[test]
fn what_was_slept_over_takes_nothing_from_the_living() {
    assert_eq!(Scene::play(None, a_claim_that_was_slept_over), None);
    let unfenced = Scene::play(Some(Defect::Unfenced), a_claim_that_was_slept_over);
    assert_eq!(unfenced, Some(News::Over { again: false }), "without a fence, the living is told `replaced`");
}

/// A replica dies; its agent comes back elsewhere when the lease is over, but not yet the return window. What is its
/// session then, and what was the classroom told?
async fn a_return_within_the_window(mut scene: Scene) -> (bool, Vec<String>) {
    let (first, second) = (scene.first.clone(), scene.second.clone());
    let socket = scene.knocking(&first, None).await.expect("nobody holds the session");
    let before = scene.session();
    first.process.kill();
    socket.reset();
    sleep(Duration::from_millis(13_500)).await;
    let resume = known(&scene.known);
    let back = scene.knocking(&second, resume).await.expect("whoever held it is dead");
    let same = scene.session() == before;
    sleep(Duration::from_secs(10)).await;
    drop(back);
    (same, scene.published())
}

#[test]
fn who_comes_back_within_the_window_has_never_left() {
    let entered = || "entered".to_owned();
    assert_eq!(Scene::play(None, a_return_within_the_window), (true, vec![entered()]));
    let hasty = Scene::play(Some(Defect::NoReturnWindow), a_return_within_the_window);
    assert_eq!(hasty, (false, vec![entered(), "left".to_owned(), entered()]));
}
