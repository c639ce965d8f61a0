//! Every task of the process has a name and an owner here; nothing else spawns.
//!
//! A task that the process cannot do without takes it down when it ends before its time. Others may end when they
//! like, and a panic in one of them ends that one alone.

use futures_util::{FutureExt, future::BoxFuture};
use std::{
    any::Any,
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

type Panic = Box<dyn Any + Send>;

/// What the body of every task of a process is put into.
pub type Embody = dyn Fn(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync;

#[derive(Clone, Default)]
pub struct Tasks {
    background: TaskTracker,
    /// Those that are waited for before the background is stopped.
    finishing: TaskTracker,
    /// Cancelled: background tasks end.
    stop: CancellationToken,
    failed: Arc<Failure>,
    /// In a simulation, a process among others, which can be stopped and killed; a real process is one already.
    embody: Option<Arc<Embody>>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("stop", &self.stop)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Failure {
    happened: AtomicBool,
    told: CancellationToken,
}

impl Tasks {
    /// Tasks that share the fate of a simulated process.
    pub fn embodied(embody: Arc<Embody>) -> Self {
        Self { embody: Some(embody), ..Self::default() }
    }

    fn spawn(&self, tracker: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
        match &self.embody {
            None => tracker.spawn(work),
            Some(embody) => tracker.spawn(embody(Box::pin(work))),
        };
    }

    /// Starts a task that ends by itself, or at the stop.
    pub fn start(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let running = async move {
            let _ = stop.run_until_cancelled_owned(work).await;
        };
        let running = tracing::Instrument::instrument(running, tracing::debug_span!("task", name));
        self.spawn(&self.background, running);
    }

    /// Starts a task that has something to finish, whatever else stops: a socket.
    pub fn start_to_finish(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn(&self.finishing, work);
    }

    /// Starts a task that may end, but whose panic would leave something undone: it ends the process.
    pub fn start_sound(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.watch(name, work, Result::is_err);
    }

    /// Starts a task without which the process is of no use: its end before the stop is the process's.
    pub fn start_vital(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.watch(name, work, |_| true);
    }

    fn watch(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
        is_failure: fn(&Result<(), Panic>) -> bool,
    ) {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        self.spawn(&self.background, async move {
            let work = AssertUnwindSafe(work).catch_unwind();
            if let Some(ended) = stop.run_until_cancelled_owned(work).await
                && is_failure(&ended)
            {
                tracing::error!(task = name, panicked = ended.is_err(), "a task ended before its time");
                failed.happened.store(true, Ordering::SeqCst);
                failed.told.cancel();
            }
        });
    }

    /// Returns once a vital task has ended before its time.
    pub async fn failed(&self) {
        self.failed.told.cancelled().await;
    }

    pub fn has_failed(&self) -> bool {
        self.failed.happened.load(Ordering::SeqCst)
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns once every task that has something to finish has done so.
    pub async fn finished(&self) {
        self.finishing.close();
        self.finishing.wait().await;
    }

    /// Stops the background tasks and waits for them.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vital_task_that_ends_is_a_failure_and_a_panic_of_another_is_not() {
        let tasks = Tasks::default();
        tasks.start("panics", async { panic!("this one may") });
        tasks.start_sound("ends", async {});
        tasks.background.close();
        tasks.background.wait().await;
        assert!(!tasks.has_failed());
        tasks.start_vital("vital", async {});
        tasks.failed().await;
        assert!(tasks.has_failed());
    }

    #[tokio::test]
    async fn a_panic_of_a_sound_task_is_a_failure() {
        let tasks = Tasks::default();
        tasks.start_sound("sound", async { panic!("this one may not") });
        tasks.failed().await;
        assert!(tasks.has_failed());
    }

    #[tokio::test]
    async fn stopping_ends_what_would_run_for_ever_and_waits_for_what_must_finish() {
        let tasks = Tasks::default();
        let (tell, told) = tokio::sync::oneshot::channel();
        let finished = Arc::new(AtomicBool::new(false));
        tasks.start("for ever", std::future::pending());
        tasks.start_vital("vital", std::future::pending());
        tasks.start_to_finish({
            let finished = finished.clone();
            async move {
                told.await.unwrap();
                finished.store(true, Ordering::SeqCst);
            }
        });
        tell.send(()).unwrap();
        tasks.finished().await;
        assert!(finished.load(Ordering::SeqCst));
        tasks.stop().await;
        assert!(!tasks.has_failed());
    }
}
