//! The same question asked many times at once is answered once: a client that comes back with many connections at once,
//! as after a restart, costs one verification.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Questions that are being answered; never more than there are requests.
pub struct Flights<K, T>(Mutex<HashMap<K, watch::Receiver<Option<T>>>>);

impl<K: Copy + Eq + Hash, T: Copy> Flights<K, T> {
    /// With nothing under way.
    pub fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The answer: asked for by the first, shared by all who come while it is under way. `None` where the first went away
    /// without one.
    pub async fn run(&self, question: K, answer: impl Future<Output = T>) -> Option<T> {
        let (sender, receiver) = watch::channel(None);
        let under_way = {
            let mut under_way = self.lock();
            let other = under_way.get(&question).cloned();
            if other.is_none() {
                under_way.insert(question, receiver);
            }
            other
        };
        match under_way {
            Some(mut other) => other.wait_for(Option::is_some).await.ok().and_then(|answer| *answer),
            None => {
                let landing = Landing { flights: self, question };
                let answer = answer.await;
                drop(landing);
                sender.send_replace(Some(answer));
                Some(answer)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<T>>>> {
        // Nothing panics while holding this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the question out, also where the answer is not waited for any more.
struct Landing<'a, K: Copy + Eq + Hash, T: Copy> {
    flights: &'a Flights<K, T>,
    question: K,
}

impl<K: Copy + Eq + Hash, T: Copy> Drop for Landing<'_, K, T> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.question);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn many_ask_and_one_answers() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let flights = Arc::new(Flights::new());
            let (asked, go_on) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
            let ask = |question: u8| {
                let (flights, asked, go_on) = (Arc::clone(&flights), Arc::clone(&asked), Arc::clone(&go_on));
                tokio::spawn(async move {
                    let answer = async {
                        go_on.notified().await;
                        asked.fetch_add(1, Ordering::Relaxed)
                    };
                    flights.run(question, answer).await
                })
            };
            let same: Vec<_> = (0..9).map(|_| ask(1)).collect();
            let other = ask(2);
            tokio::task::yield_now().await;
            go_on.notify_waiters();
            for asking in same {
                assert_eq!(asking.await.expect("no panic"), Some(0));
            }
            assert_eq!(other.await.expect("no panic"), Some(1));
            assert!(flights.lock().is_empty());
            // The first goes away: nobody waits for ever.
            let (first, second) = (ask(1), ask(1));
            tokio::task::yield_now().await;
            first.abort();
            assert_eq!(second.await.expect("no panic"), None);
            assert!(flights.lock().is_empty());
        });
    }
}
