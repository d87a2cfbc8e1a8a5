//! Which connections are open, what each of them does, and which one makes room when there are too many.
//!
//! Slow clients must not keep others out: where all connections are taken, a new one takes the place of one whose
//! client has not sent a whole request for long, or of one that waits for nothing. One whose request is being worked
//! on is never closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

use crate::config::TrustedProxies;
use crate::domain::client_address::ClientAddress;
use crate::server::repeats::Repeats;

/// A request that takes longer than this to arrive makes room before connections that are merely idle.
const SLOW: Duration = Duration::from_secs(1);
/// Nobody is sent away for a shorter wait: clients are given the time of a round trip.
const GRACE: Duration = Duration::from_millis(50);
/// How often it is looked again whether a connection can make room.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Was accepted, and its task has not run yet.
    Accepted,
    /// Waits for a request's header, or for the TLS handshake before the first one.
    Head,
    /// Waits for more of a request's body.
    Receiving,
    /// Works on a request.
    Working,
    /// Sends an answer.
    Sending,
    /// Waits for the next request.
    Idle,
}

/// One open connection. Only its own task changes what it does; others look, and may close it.
pub struct Connection {
    network: Option<ClientAddress>,
    opened: Instant,
    /// The activity in the lowest bits; above them, since when: milliseconds after `opened`.
    state: AtomicU64,
    closed: Notify,
}

const ACTIVITY_BITS: u32 = 3;

impl Connection {
    fn new(network: Option<ClientAddress>) -> Self {
        let state = AtomicU64::new(Activity::Accepted as u64);
        Self { network, opened: Instant::now(), state, closed: Notify::new() }
    }

    /// What it does, and since when.
    pub fn activity(&self) -> (Activity, Instant) {
        let state = self.state.load(Ordering::Relaxed);
        let all = [
            Activity::Accepted,
            Activity::Head,
            Activity::Receiving,
            Activity::Working,
            Activity::Sending,
            Activity::Idle,
        ];
        let stored = state & ((1 << ACTIVITY_BITS) - 1);
        let activity = all.into_iter().find(|activity| *activity as u64 == stored);
        let since = self.opened + Duration::from_millis(state >> ACTIVITY_BITS);
        (activity.expect("only activities are stored"), since)
    }

    /// Begins something new.
    pub fn begin(&self, activity: Activity) {
        self.begin_at(activity, Instant::now());
    }

    fn begin_at(&self, activity: Activity, moment: Instant) {
        let millis = moment.saturating_duration_since(self.opened).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.state.store((millis << ACTIVITY_BITS) | activity as u64, Ordering::Relaxed);
    }

    /// Goes on with the same request, in another way.
    pub fn turn_to(&self, activity: Activity) {
        let since = (self.state.load(Ordering::Relaxed) >> ACTIVITY_BITS) << ACTIVITY_BITS;
        self.state.store(since | activity as u64, Ordering::Relaxed);
    }

    /// Ends when this connection has to make room.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }

    /// The order in which connections make room, the least first; `None` never.
    fn rank(&self, now: Instant) -> Option<(u8, Instant)> {
        let (activity, since) = self.activity();
        let age = now.saturating_duration_since(since);
        let order = match activity {
            Activity::Head | Activity::Receiving if age > SLOW => 0,
            Activity::Idle => 1,
            Activity::Head | Activity::Receiving if age > GRACE => 2,
            Activity::Sending => 3,
            Activity::Accepted | Activity::Head | Activity::Receiving | Activity::Working => return None,
        };
        Some((order, since))
    }
}

/// All open connections, of which there are at most so many.
pub struct Connections {
    most: usize,
    most_per_network: usize,
    proxies: TrustedProxies,
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Default)]
struct Open {
    next_id: u64,
    by_id: HashMap<u64, Arc<Connection>>,
    by_network: HashMap<ClientAddress, usize>,
    made_room: Repeats,
}

/// Why a connection cannot be had now.
#[derive(Debug, PartialEq, Eq)]
pub enum Full {
    /// Requests of this address are worked on over all connections that it may have.
    Address,
    /// Requests are worked on over all connections.
    All,
}

/// The place of an open connection, until it is dropped.
pub struct Place {
    connections: Arc<Connections>,
    id: u64,
    connection: Arc<Connection>,
}

impl Connections {
    /// Room for so many, and so many of one address.
    pub fn new(most: usize, most_per_network: usize, proxies: TrustedProxies) -> Arc<Self> {
        let open = Mutex::new(Open::default());
        Arc::new(Self { most, most_per_network, proxies, open, freed: Notify::new() })
    }

    /// What connections of one client are counted under; nothing where it is a proxy, behind which is everybody.
    fn network_of(&self, client: ClientAddress) -> Option<ClientAddress> {
        let is_proxy = client == ClientAddress::UnixSocket || self.proxies.trusts(client);
        (!is_proxy).then(|| client.network())
    }

    /// A place for a new connection; another one may have to make room for it.
    ///
    /// # Errors
    /// Where none can.
    pub fn admit(self: &Arc<Self>, client: ClientAddress) -> Result<Place, Full> {
        self.admit_at(client, Instant::now())
    }

    fn admit_at(self: &Arc<Self>, client: ClientAddress, now: Instant) -> Result<Place, Full> {
        let network = self.network_of(client);
        let mut open = self.lock();
        let of_network = network.and_then(|network| open.by_network.get(&network).copied());
        if of_network.unwrap_or_default() >= self.most_per_network {
            open.make_room(now, |connection| connection.network == network).ok_or(Full::Address)?;
        }
        if open.by_id.len() >= self.most {
            open.make_room(now, |_| true).ok_or(Full::All)?;
        }
        let id = open.next_id;
        open.next_id += 1;
        let connection = Arc::new(Connection::new(network));
        open.by_id.insert(id, Arc::clone(&connection));
        if let Some(network) = network {
            *open.by_network.entry(network).or_default() += 1;
        }
        Ok(Place { connections: Arc::clone(self), id, connection })
    }

    /// Ends when it is worth while to ask for a place again.
    pub async fn freed(&self) {
        // That time passes makes room too.
        let _ = tokio::time::timeout(RETRY_PAUSE, self.freed.notified()).await;
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the first connection in the order of making room; it is not counted any more, though its task may take
    /// a moment to end.
    fn make_room(&mut self, now: Instant, may: impl Fn(&Connection) -> bool) -> Option<()> {
        let ranked = self.by_id.iter().filter(|(_, connection)| may(connection));
        let ranked = ranked.filter_map(|(id, connection)| Some((connection.rank(now)?, *id)));
        let (_, id) = ranked.min()?;
        self.remove(id)?.closed.notify_one();
        if let Some(closed) = self.made_room.count(now) {
            warn!(
                closed,
                open = self.by_id.len(),
                "more connections than limits.connections or limits.connections_per_address allow: slow and idle ones make room"
            );
        }
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        let connection = self.by_id.remove(&id)?;
        if let Some(network) = connection.network
            && let Some(count) = self.by_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
        Some(connection)
    }
}

impl Place {
    /// The connection in this place.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
        self.connections.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> ClientAddress {
        ClientAddress::from_ip(text.parse().expect("an address"))
    }

    fn is_closed(place: &Place) -> bool {
        !place.connections.lock().by_id.contains_key(&place.id)
    }

    #[test]
    fn room_is_made_by_the_slow_then_the_idle_and_never_by_the_working() {
        use Activity::{Accepted, Head, Idle, Receiving, Sending, Working};
        // What each connection does, for how many milliseconds; the index of the one that goes.
        let cases = [
            ([(Idle, 5000), (Head, 1500), (Receiving, 2000)], Some(2)),
            ([(Idle, 5000), (Idle, 6000), (Head, 900)], Some(1)),
            ([(Working, 9000), (Head, 60), (Receiving, 70)], Some(2)),
            ([(Working, 9000), (Sending, 10), (Sending, 20)], Some(2)),
            ([(Sending, 9000), (Idle, 0), (Working, 1)], Some(1)),
            ([(Accepted, 9000), (Head, 60), (Receiving, 70)], Some(2)),
            ([(Accepted, 9000), (Head, 40), (Receiving, 30)], None),
            ([(Working, 9000), (Working, 0), (Working, 1)], None),
        ];
        for (doing, expected) in cases {
            let connections = Connections::new(3, 100, TrustedProxies::default());
            let places: Vec<Place> = doing
                .iter()
                .map(|_| connections.admit(client("192.0.2.1")).expect("there is room"))
                .collect();
            let now = Instant::now() + Duration::from_secs(10);
            for (place, (activity, millis)) in places.iter().zip(doing) {
                place.connection.begin_at(activity, now - Duration::from_millis(millis));
            }
            let admitted = connections.admit_at(client("192.0.2.2"), now);
            assert_eq!(admitted.as_ref().err(), expected.is_none().then_some(&Full::All), "{doing:?}");
            let gone: Vec<usize> = (0..places.len()).filter(|index| is_closed(&places[*index])).collect();
            assert_eq!(gone, expected.iter().copied().collect::<Vec<_>>(), "{doing:?}");
        }
    }

    #[tokio::test]
    async fn an_address_makes_room_for_itself() {
        let connections = Connections::new(100, 2, TrustedProxies::default());
        let admit = |text: &str| {
            connections.admit(client(text)).inspect(|place| place.connection.begin(Activity::Idle))
        };
        let other = admit("2001:db8:0:1::1").expect("there is room");
        let first = admit("2001:db8::1").expect("there is room");
        let second = admit("2001:db8::ffff:0:0:2").expect("there is room");
        let third = admit("2001:db8::3").expect("the first makes room");
        assert!(is_closed(&first) && !is_closed(&second) && !is_closed(&other));
        first.connection.closed().await;
        second.connection.begin(Activity::Working);
        third.connection.begin(Activity::Working);
        assert_eq!(admit("2001:db8::4").err(), Some(Full::Address));
        drop(first);
        assert_eq!(admit("2001:db8::4").err(), Some(Full::Address));
        drop(second);
        let _fourth = admit("2001:db8::4").expect("there is room");
        let _unix: Vec<Place> =
            (0..5).map(|_| connections.admit(ClientAddress::UnixSocket).expect("there is room")).collect();
        drop((other, third));
        assert_eq!(connections.lock().by_network.len(), 1);
    }

    #[test]
    fn connections_of_a_proxy_are_not_counted_as_those_of_one_address() {
        let trusted = ["192.0.2.0/24".to_owned(), "2001:db8::1".to_owned()];
        let proxies = TrustedProxies::parse(&trusted).expect("proxies");
        let connections = Connections::new(100, 2, proxies);
        for (text, is_proxy) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("2001:db8::1", true),
            ("unix", true),
            ("198.51.100.1", false),
            ("2001:db8::2", false),
        ] {
            let client = ClientAddress::parse(text).expect("an address");
            // Working ones make no room.
            let admit =
                || connections.admit(client).inspect(|place| place.connection.begin(Activity::Working));
            let places: Vec<Result<Place, Full>> = (0..3).map(|_| admit()).collect();
            assert!(places[..2].iter().all(Result::is_ok), "{text}");
            assert_eq!(places[2].as_ref().err(), (!is_proxy).then_some(&Full::Address), "{text}");
        }
    }
}
