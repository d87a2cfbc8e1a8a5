//! Turns for hashing, given to lanes in rotation: whoever fills one lane waits in it, and a newcomer in another one waits
//! for one turn of each lane at most.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::turns::Busy;

/// How many may work and wait, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct TurnLimits {
    /// Work at once.
    pub at_once: usize,
    /// Wait in one lane.
    pub waiting_per_lane: usize,
    /// Wait in all lanes.
    pub waiting: usize,
    /// Longest wait for a turn.
    pub wait: Duration,
}

/// A bounded number of turns, and lanes in front of them.
pub struct FairTurns<L: Copy + Eq + Hash> {
    lanes: Arc<Mutex<Lanes<L>>>,
    limits: TurnLimits,
}

struct Lanes<L: Copy + Eq + Hash> {
    working: usize,
    waiting: usize,
    /// Only lanes in which somebody waits.
    by_lane: HashMap<L, VecDeque<oneshot::Sender<Turn<L>>>>,
    /// The same lanes in the order of their turns.
    order: VecDeque<L>,
}

/// The right to work; passed on when it goes, also where nobody took it.
struct Turn<L: Copy + Eq + Hash>(Option<Arc<Mutex<Lanes<L>>>>);

impl<L: Copy + Eq + Hash + Send + 'static> FairTurns<L> {
    /// With nobody waiting.
    pub fn new(limits: TurnLimits) -> Self {
        let lanes = Lanes { working: 0, waiting: 0, by_lane: HashMap::new(), order: VecDeque::new() };
        Self { lanes: Arc::new(Mutex::new(lanes)), limits }
    }

    /// Runs the work off the asynchronous threads when its lane has a turn. The turn belongs to the work, also if nobody
    /// waits for it any more.
    ///
    /// # Errors
    /// [`Busy`] where too many wait already, no turn came up in time, or the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: L,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let turn = self.turn(lane).await?;
        let working = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        working.await.map_err(|_| Busy)
    }

    async fn turn(&self, lane: L) -> Result<Turn<L>, Busy> {
        let receiver = {
            let mut lanes = lock(&self.lanes);
            if lanes.working < self.limits.at_once {
                lanes.working += 1;
                return Ok(Turn(Some(Arc::clone(&self.lanes))));
            }
            lanes.join(lane, &self.limits)?
        };
        // Who gave up is still in the lane until its turn comes, and passes it on.
        tokio::time::timeout(self.limits.wait, receiver).await.map_err(|_| Busy)?.map_err(|_| Busy)
    }
}

impl<L: Copy + Eq + Hash> Lanes<L> {
    fn join(&mut self, lane: L, limits: &TurnLimits) -> Result<oneshot::Receiver<Turn<L>>, Busy> {
        let own = self.by_lane.get(&lane).map_or(0, VecDeque::len);
        if own >= limits.waiting_per_lane {
            return Err(Busy);
        }
        if self.waiting >= limits.waiting {
            self.make_room(own)?;
        }
        let (sender, receiver) = oneshot::channel();
        let waiting = self.by_lane.entry(lane).or_default();
        if waiting.is_empty() {
            self.order.push_back(lane);
        }
        waiting.push_back(sender);
        self.waiting += 1;
        Ok(receiver)
    }

    /// Turns the last away who waits in the longest lane, if that is longer than the newcomer's becomes: those who fill the
    /// lanes do not keep others out.
    fn make_room(&mut self, newcomers: usize) -> Result<(), Busy> {
        let longest = self.by_lane.iter_mut().max_by_key(|(_, waiting)| waiting.len()).ok_or(Busy)?;
        if longest.1.len() <= newcomers + 1 {
            return Err(Busy);
        }
        longest.1.pop_back();
        self.waiting -= 1;
        Ok(())
    }

    /// The first of the lane whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Turn<L>>> {
        let lane = self.order.pop_front()?;
        let waiting = self.by_lane.get_mut(&lane)?;
        let first = waiting.pop_front()?;
        self.waiting -= 1;
        if waiting.is_empty() {
            self.by_lane.remove(&lane);
        } else {
            self.order.push_back(lane);
        }
        Some(first)
    }
}

impl<L: Copy + Eq + Hash> Drop for Turn<L> {
    fn drop(&mut self) {
        let Some(lanes) = self.0.take() else { return };
        loop {
            let next = {
                let mut lanes = lock(&lanes);
                let next = lanes.next();
                if next.is_none() {
                    lanes.working -= 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(Arc::clone(&lanes)))) {
                Ok(()) => return,
                // Who gave up meanwhile has no turn to pass on: this one goes to the next.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

fn lock<L: Copy + Eq + Hash>(lanes: &Mutex<Lanes<L>>) -> MutexGuard<'_, Lanes<L>> {
    // Nothing panics while holding this lock.
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LIMITS: TurnLimits =
        TurnLimits { at_once: 1, waiting_per_lane: 4, waiting: 6, wait: Duration::from_secs(20) };

    /// Fills the only turn, lets the lanes queue up in this order, and returns how each ended, in the order of their ends.
    fn run(limits: TurnLimits, lanes: &[char]) -> Vec<(char, bool)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let turns = Arc::new(FairTurns::new(limits));
            let (release, released) = mpsc::channel::<()>();
            let (sender, ended) = mpsc::channel();
            let mut tasks = Vec::new();
            let first = Arc::clone(&turns);
            tasks.push(tokio::spawn(async move {
                first.run('-', move || released.recv().unwrap_or(())).await.unwrap_or(());
            }));
            tokio::task::yield_now().await;
            for lane in lanes.iter().copied() {
                let (turns, sender) = (Arc::clone(&turns), sender.clone());
                tasks.push(tokio::spawn(async move {
                    let worked = sender.clone();
                    if turns.run(lane, move || worked.send((lane, true)).unwrap_or(())).await.is_err() {
                        sender.send((lane, false)).unwrap_or(());
                    }
                }));
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(limits.wait.min(Duration::from_millis(100)) * 2).await;
            drop(release);
            for task in tasks {
                task.await.expect("no panic");
            }
            let left = lock(&turns.lanes);
            assert_eq!((left.working, left.waiting, left.by_lane.len(), left.order.len()), (0, 0, 0, 0));
            drop(sender);
            ended.into_iter().collect()
        })
    }

    #[track_caller]
    fn check(lanes: &str, expected: &str) {
        let lanes: Vec<char> = lanes.chars().collect();
        let shown = |(lane, worked): (char, bool)| if worked { lane } else { lane.to_ascii_uppercase() };
        assert_eq!(run(LIMITS, &lanes).into_iter().map(shown).collect::<String>(), expected);
    }

    /// Small letters had their turn, capital ones were turned away.
    #[test]
    fn lanes_take_turns() {
        check("", "");
        check("aaabc", "abcaa");
        check("aabbc", "abcab");
        // One lane is full: its fifth is turned away at once.
        check("aaaaab", "Aabaaa");
        // All lanes are full: the longest one makes room, until none is longer than the newcomer's.
        check("aaaabbc", "Aabcaba");
        check("abcdefg", "Gabcdef");
    }

    #[test]
    fn waiting_is_bounded_in_time() {
        let limits = TurnLimits { wait: Duration::from_millis(20), ..LIMITS };
        assert_eq!(run(limits, &['a', 'b', 'a']), [('a', false), ('b', false), ('a', false)]);
    }
}
