//! The batcher with work that can be held back by hand.

use super::*;
use futures_util::future::join_all;
use std::sync::Mutex;

type Batch = Vec<(u32, u32)>;

/// Requests are (key, value); responses are the value. Each batch waits for a permit.
#[derive(Debug, Clone)]
struct Gate<const SHARES: bool> {
    open: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<Batch>>>,
    fails: bool,
}

impl<const SHARES: bool> Gate<SHARES> {
    fn new(permits: usize) -> Self {
        Self { open: Arc::new(Semaphore::new(permits)), batches: Arc::default(), fails: false }
    }

    fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap().clone()
    }
}

#[async_trait]
impl<const SHARES: bool> Work for Gate<SHARES> {
    type Request = (u32, u32);
    type Response = u32;
    type Key = u32;

    const WHAT: &'static str = "the gate";
    const SAME_KEY: SameKey = if SHARES { SameKey::Shares } else { SameKey::TakesTurns };
    const ABANDONED: Abandoned = Abandoned::Dropped;

    fn key(request: &(u32, u32)) -> u32 {
        request.0
    }

    async fn perform(&self, requests: Vec<(u32, u32)>) -> Result<Vec<u32>, Fault> {
        self.batches.lock().unwrap().push(requests.clone());
        self.open.acquire().await.unwrap().forget();
        if self.fails {
            return Err(Fault::failed("the gate", "it fell shut"));
        }
        Ok(requests.into_iter().map(|(_, value)| value).collect())
    }
}

const LIMITS: Limits =
    Limits { queue: 8, batch: 4, in_flight: 2, wait: Duration::from_secs(5), pace: Duration::ZERO };

/// Runs the work beside the test's own future. Paused time: what waits for nothing but a timer gets it at once.
async fn beside<W: Work, T>(work: W, limits: Limits, test: impl AsyncFnOnce(&Batcher<W>) -> T) -> T {
    let (batcher, runner) = batcher(work, limits);
    let scenario = async move { test(&batcher).await };
    tokio::join!(scenario, runner.run()).0
}

async fn settled() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_request_is_performed_at_once_and_those_that_wait_go_together() {
    let gate = Gate::<false>::new(0);
    beside(gate.clone(), Limits { in_flight: 1, ..LIMITS }, async |batcher| {
        let first = batcher.call((0, 0));
        let others = async {
            settled().await;
            let calls = join_all((1..=6).map(|n| batcher.call((n, n))));
            let opened = async {
                settled().await;
                assert_eq!(gate.batches(), [vec![(0, 0)]]);
                gate.open.add_permits(3);
            };
            tokio::join!(calls, opened).0
        };
        let (first, others) = tokio::join!(first, others);
        assert_eq!(first.unwrap(), 0);
        assert_eq!(others.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    })
    .await;
    let sizes: Vec<_> = gate.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 4, 2]);
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_key_take_turns_in_order_and_are_never_under_way_together() {
    let gate = Gate::<false>::new(8);
    let answers = beside(gate.clone(), LIMITS, async |batcher| {
        join_all([(7, 1), (7, 2), (8, 3), (7, 4)].map(|request| batcher.call(request))).await
    })
    .await;
    assert_eq!(answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(gate.batches(), [vec![(7, 1), (8, 3)], vec![(7, 2)], vec![(7, 4)]]);
}

#[tokio::test(start_paused = true)]
async fn a_shared_answer_is_never_one_that_was_begun_before_it_was_asked_for() {
    let gate = Gate::<true>::new(0);
    beside(gate.clone(), LIMITS, async |batcher| {
        let early = async { join_all([(7, 1), (7, 2)].map(|request| batcher.call(request))).await };
        let late = async {
            settled().await;
            assert_eq!(gate.batches(), [vec![(7, 1)]]);
            let calls = join_all([(7, 3), (7, 4)].map(|request| batcher.call(request)));
            let opened = async {
                settled().await;
                gate.open.add_permits(2);
            };
            tokio::join!(calls, opened).0
        };
        let (early, late) = tokio::join!(early, late);
        assert_eq!(early.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(late.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [3, 3]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_and_has_room_again_after_an_answer() {
    let gate = Gate::<false>::new(0);
    beside(gate.clone(), LIMITS, async |batcher| {
        let fill = join_all((0..8).map(|n| batcher.call((n, n))));
        let refused = async {
            settled().await;
            let refused = batcher.call((9, 9)).await.unwrap_err();
            assert!(matches!(refused, Fault::Unavailable { .. }), "{refused:?}");
            gate.open.add_permits(8);
        };
        let (filled, ()) = tokio::join!(fill, refused);
        assert!(filled.iter().all(Result::is_ok));
        assert_eq!(batcher.queued(), 0);
        assert_eq!(batcher.call((9, 9)).await.unwrap(), 9);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_takes_nobody_with_it_and_is_not_performed_if_it_still_waited() {
    let gate = Gate::<false>::new(0);
    let limits = Limits { in_flight: 1, ..LIMITS };
    beside(gate.clone(), limits, async |batcher| {
        let under_way = batcher.call((1, 1));
        let rest = async {
            settled().await;
            let mut given_up = Box::pin(batcher.call((2, 2)));
            assert!(futures_util::poll!(&mut given_up).is_pending());
            drop(given_up);
            let kept = batcher.call((3, 3));
            let opened = async {
                settled().await;
                gate.open.add_permits(2);
            };
            tokio::join!(kept, opened).0
        };
        let (under_way, kept) = tokio::join!(under_way, rest);
        assert_eq!((under_way.unwrap(), kept.unwrap()), (1, 3));
    })
    .await;
    assert_eq!(gate.batches(), [vec![(1, 1)], vec![(3, 3)]]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_reaches_every_caller_of_the_batch() {
    let gate = Gate::<false> { fails: true, ..Gate::new(8) };
    let answers =
        beside(gate, LIMITS, async |batcher| join_all((0..3).map(|n| batcher.call((n, n)))).await).await;
    for answer in answers {
        let fault = answer.unwrap_err();
        assert!(matches!(fault, Fault::Failed { what: "the gate", .. }), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_limit_nor_for_a_runner_that_is_gone() {
    let gate = Gate::<false>::new(0);
    beside(gate.clone(), LIMITS, async |batcher| {
        let late = batcher.call((1, 1)).await.unwrap_err();
        assert!(matches!(late, Fault::Unavailable { .. }), "{late:?}");
        gate.open.add_permits(1);
    })
    .await;
    let (batcher, runner) = batcher(Gate::<false>::new(0), LIMITS);
    drop(runner);
    assert!(matches!(batcher.call((1, 1)).await, Err(Fault::Unavailable { .. })));
}
