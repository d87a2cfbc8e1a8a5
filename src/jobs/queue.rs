//! The queue of tests that wait: bounded, callers in turn, few at once against one endpoint.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::cloud::{self, Progress, Steps};
use crate::config::JobsConfig;
use crate::domain::connector::Settings;
use crate::jobs::Jobs;

/// No room in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueFull {
    /// This caller has as many tests waiting as one caller may.
    ForCaller,
    /// The queue is full.
    ForAll,
}

/// A job that waits. Its settings stay in the store until it runs.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    id: u64,
    caller: String,
    endpoint: String,
    progress: Arc<Progress>,
}

impl Waiting {
    pub(super) fn new(id: u64, caller: &str, settings: &Settings) -> Self {
        let endpoint = cloud::endpoint_of(settings);
        Self { id, caller: caller.to_owned(), endpoint, progress: Arc::default() }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

/// A reserved place in the queue; given back when it is dropped.
pub struct Slot {
    jobs: Arc<Jobs>,
    caller: String,
}

impl Slot {
    pub(super) fn new(jobs: Arc<Jobs>, caller: &str) -> Self {
        Self { jobs, caller: caller.to_owned() }
    }

    /// Who reserved it.
    pub(super) fn caller(&self) -> &str {
        &self.caller
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.jobs.lock().release(&self.caller);
    }
}

pub(super) struct Queue {
    parallel: usize,
    parallel_per_endpoint: usize,
    capacity: usize,
    capacity_per_caller: usize,
    /// Callers in the order of their turns, each with its jobs in the order of their coming.
    callers: VecDeque<(String, VecDeque<Waiting>)>,
    /// Places taken by each caller: jobs that wait, and reservations.
    places: HashMap<String, usize>,
    running: HashMap<u64, Arc<Progress>>,
    running_per_endpoint: HashMap<String, usize>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(config: &JobsConfig) -> Self {
        Self {
            parallel: config.parallel,
            parallel_per_endpoint: config.parallel_per_endpoint,
            capacity: config.queue_capacity,
            capacity_per_caller: config.queue_capacity_per_caller,
            callers: VecDeque::new(),
            places: HashMap::new(),
            running: HashMap::new(),
            running_per_endpoint: HashMap::new(),
            is_closed: false,
        }
    }

    pub(super) fn reserve(&mut self, caller: &str) -> Result<(), QueueFull> {
        if self.places.values().sum::<usize>() >= self.capacity {
            return Err(QueueFull::ForAll);
        }
        if self.places.get(caller).copied().unwrap_or(0) >= self.capacity_per_caller {
            return Err(QueueFull::ForCaller);
        }
        *self.places.entry(caller.to_owned()).or_default() += 1;
        Ok(())
    }

    fn release(&mut self, caller: &str) {
        decrement(&mut self.places, caller);
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        *self.places.entry(waiting.caller.clone()).or_default() += 1;
        match self.callers.iter_mut().find(|(caller, _)| *caller == waiting.caller) {
            Some((_, jobs)) => jobs.push_back(waiting),
            None => self.callers.push_back((waiting.caller.clone(), VecDeque::from([waiting]))),
        }
    }

    /// Takes the next job that may run: of the first caller in turn that has one for an endpoint with room.
    pub(super) fn start_next(&mut self) -> Option<Waiting> {
        if self.is_closed || self.running.len() >= self.parallel {
            return None;
        }
        let has_room = |waiting: &Waiting| {
            self.running_per_endpoint.get(&waiting.endpoint).copied().unwrap_or(0)
                < self.parallel_per_endpoint
        };
        let (turn, position) = self
            .callers
            .iter()
            .enumerate()
            .find_map(|(turn, (_, jobs))| Some((turn, jobs.iter().position(has_room)?)))?;
        let (caller, mut jobs) = self.callers.remove(turn)?;
        let next = jobs.remove(position)?;
        if !jobs.is_empty() {
            self.callers.push_back((caller, jobs));
        }
        self.release(&next.caller);
        self.running.insert(next.id, next.progress());
        *self.running_per_endpoint.entry(next.endpoint.clone()).or_default() += 1;
        Some(next)
    }

    pub(super) fn finish(&mut self, waiting: &Waiting) {
        self.running.remove(&waiting.id);
        decrement(&mut self.running_per_endpoint, &waiting.endpoint);
    }

    pub(super) fn progress(&self, id: u64) -> Option<Steps> {
        self.running.get(&id).map(|progress| progress.steps())
    }

    pub(super) fn running_count(&self) -> usize {
        self.running.len()
    }

    /// Lets nothing start any more.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }
}

fn decrement(counts: &mut HashMap<String, usize>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn queue() -> Queue {
        Queue::new(&JobsConfig {
            parallel: 3,
            parallel_per_endpoint: 2,
            queue_capacity: 6,
            queue_capacity_per_caller: 4,
            keep: Duration::from_secs(1),
            keep_count: 1,
        })
    }

    fn waiting(id: u64, caller: &str, endpoint: &str) -> Waiting {
        Waiting { id, caller: caller.to_owned(), endpoint: endpoint.to_owned(), progress: Arc::default() }
    }

    #[test]
    fn callers_take_turns_and_endpoints_are_bounded() {
        let mut queue = queue();
        for id in 1..=4 {
            queue.push(waiting(id, "a", "same:1"));
        }
        queue.push(waiting(5, "b", "same:1"));
        queue.push(waiting(6, "b", "other:1"));
        let mut started = Vec::new();
        while let Some(next) = queue.start_next() {
            started.push(next);
        }
        let ids = |started: &[Waiting]| started.iter().map(Waiting::id).collect::<Vec<_>>();
        // One of each caller in turn; the third of "same:1" has to wait, so "b" is next with the other endpoint.
        assert_eq!(ids(&started), [1, 5, 6]);
        queue.finish(&started[0]);
        assert_eq!(queue.start_next().map(|next| next.id), Some(2));
        assert!(queue.start_next().is_none());
        queue.close();
        queue.finish(&started[1]);
        assert!(queue.start_next().is_none());
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let mut queue = queue();
        for _ in 0..4 {
            assert_eq!(queue.reserve("a"), Ok(()));
        }
        assert_eq!(queue.reserve("a"), Err(QueueFull::ForCaller));
        assert_eq!(queue.reserve("b"), Ok(()));
        assert_eq!(queue.reserve("b"), Ok(()));
        assert_eq!(queue.reserve("c"), Err(QueueFull::ForAll));
        queue.release("a");
        assert_eq!(queue.reserve("c"), Ok(()));
        for caller in ["a", "a", "a", "b", "b", "c"] {
            queue.release(caller);
        }
        assert!(queue.places.is_empty());
    }
}
