//! Credentials against an index of their own: what is paid for, what is refused, and what is never shut out.

use std::net::IpAddr;

use super::*;

const LIMITS: FailureLimits =
    FailureLimits { per_address: 6, per_user_and_address: 3, window: Duration::from_secs(3600) };

fn client(text: &str) -> ClientAddress {
    ClientAddress::from_ip(text.parse::<IpAddr>().expect("an address"))
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// An index with the user `owner`.
fn index(password: &str, revision: u64) -> Index {
    let mut index = Index::default();
    let user = User {
        id: 1,
        name: "owner".to_owned(),
        password_hash: hash(&secret(password)),
        revision,
        created_at: Timestamp::now(),
    };
    index.users.put(Arc::new(user));
    index
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("a runtime");
    runtime.block_on(work)
}

/// What came of it, as the status that clients see.
async fn sign_in(credentials: &Credentials, index: &Index, from: &str, name: &str, password: &str) -> u16 {
    match credentials.verify_password(index, client(from), name, &secret(password)).await {
        Ok(user) => {
            assert_eq!(user.name, name);
            200
        }
        Err(Refused::Wrong) => 401,
        Err(Refused::Limited { retry_after, .. }) => {
            assert!(retry_after > Duration::ZERO && retry_after <= LIMITS.window, "{retry_after:?}");
            429
        }
        Err(Refused::Busy) => 503,
    }
}

#[test]
fn who_was_verified_is_never_shut_out_and_nobody_is_by_name_alone() {
    block_on(async {
        let (credentials, index) = (Credentials::new(LIMITS), index("right password", 1));
        let sign_in = async |from: &str, name, password: &str| {
            sign_in(&credentials, &index, from, name, password).await
        };
        assert_eq!(sign_in("192.0.2.1", "owner", "right password").await, 200);
        for (number, expected) in [(1, 401), (2, 401), (3, 401), (4, 429), (5, 429)] {
            assert_eq!(sign_in("192.0.2.1", "owner", &format!("wrong {number}")).await, expected);
            assert_eq!(sign_in("192.0.2.1", "nobody", &format!("wrong {number}")).await, expected);
        }
        assert_eq!(sign_in("192.0.2.1", "owner", "right password").await, 200);
        assert!(matches!(credentials.refuse(client("192.0.2.1"), b"sent"), Refused::Limited { .. }));
        // Whoever guesses elsewhere does not learn that a guess was right, though it is remembered.
        for number in 1..=3 {
            assert_eq!(sign_in("192.0.2.3", "owner", &format!("wrong {number}")).await, 401);
        }
        assert_eq!(sign_in("192.0.2.3", "owner", "right password").await, 429);
        assert_eq!(sign_in("192.0.2.4", "owner", "right password").await, 200);
        // Elsewhere, the name was never tried.
        assert_eq!(sign_in("192.0.2.2", "owner", "wrong").await, 401);
        // A network of IPv6 is one address.
        for (host, expected) in [(1, 401), (2, 401), (3, 401), (4, 429)] {
            let from = format!("2001:db8::{host}");
            assert_eq!(sign_in(&from, "owner", &format!("wrong {host}")).await, expected);
        }
        assert_eq!(sign_in("2001:db8:0:1::1", "owner", "wrong").await, 401);
    });
}

#[test]
fn a_changed_password_is_refused_at_once_though_the_old_one_is_remembered() {
    block_on(async {
        let credentials = Credentials::new(LIMITS);
        let (before, after) = (index("old password", 1), index("new password", 2));
        assert_eq!(sign_in(&credentials, &before, "192.0.2.1", "owner", "old password").await, 200);
        assert_eq!(sign_in(&credentials, &after, "192.0.2.1", "owner", "old password").await, 401);
        assert_eq!(sign_in(&credentials, &after, "192.0.2.1", "owner", "new password").await, 200);
    });
}

#[test]
fn one_client_with_many_connections_is_verified_once() {
    block_on(async {
        let credentials = Arc::new(Credentials::new(LIMITS));
        let index = Arc::new(index("right password", 1));
        let sign_ins: Vec<_> = (0..100)
            .map(|_| {
                let (credentials, index) = (Arc::clone(&credentials), Arc::clone(&index));
                tokio::spawn(async move {
                    sign_in(&credentials, &index, "192.0.2.1", "owner", "right password").await
                })
            })
            .collect();
        for sign_in in sign_ins {
            assert_eq!(sign_in.await.expect("no panic"), 200);
        }
    });
}

#[test]
fn keys_with_a_known_lookup_part_count_like_passwords() {
    block_on(async {
        let (credentials, mut index) = (Credentials::new(LIMITS), Index::default());
        let text = generate_key();
        let key = ApiKey {
            id: 7,
            user_id: 1,
            name: None,
            lookup: generate_key().lookup().to_owned(),
            last_four: text.last_four().to_owned(),
            hash: hash(text.secret()),
            scopes: Vec::new(),
            expires_at: None,
            last_used_at: None,
        };
        // The record of another key that has this one's lookup part.
        index.api_keys.put(Arc::new(ApiKey {
            lookup: text.lookup().to_owned(),
            hash: hash(generate_key().secret()),
            ..key.clone()
        }));
        for expected in [true, true, true, false] {
            let refused = credentials.verify_key(&index, client("192.0.2.1"), &text).await.err();
            let is_wrong = matches!(refused, Some(Refused::Wrong));
            assert_eq!(is_wrong, expected, "{refused:?}");
        }
        assert_eq!(credentials.last_used(7), None);
        index.api_keys.put(Arc::new(ApiKey { lookup: text.lookup().to_owned(), ..key }));
        assert!(credentials.verify_key(&index, client("192.0.2.2"), &text).await.is_ok());
        assert!(credentials.last_used(7).is_some());
        // Unknown ones count too, and what is verified goes on.
        for number in 0..10 {
            let refused = credentials.verify_key(&index, client("192.0.2.2"), &generate_key()).await.err();
            assert_eq!(matches!(refused, Some(Refused::Wrong)), number < 6, "{refused:?}");
        }
        assert!(credentials.verify_key(&index, client("192.0.2.2"), &text).await.is_ok());
    });
}

#[test]
fn a_dead_credential_in_a_loop_uses_up_its_own_tries_alone() {
    block_on(async {
        let index = index("right password", 1);
        let (dead, other) = (generate_key(), generate_key());
        // A revoked key, and a header that is no credential at all.
        for is_key in [true, false] {
            let credentials = Credentials::new(LIMITS);
            let refuse = async || {
                let refused = match is_key {
                    true => credentials.verify_key(&index, client("192.0.2.1"), &dead).await.err(),
                    false => Some(credentials.refuse(client("192.0.2.1"), b"Digest dead")),
                };
                matches!(refused, Some(Refused::Wrong))
            };
            for number in 0..50 {
                assert_eq!(refuse().await, number < 3, "{is_key} {number}");
            }
            assert_eq!(sign_in(&credentials, &index, "192.0.2.1", "owner", "right password").await, 200);
            // Of the six tries of the address three are left, whatever they are spent on.
            for number in 0..6 {
                let sent = format!("Digest {number}");
                let refused = credentials.refuse(client("192.0.2.1"), sent.as_bytes());
                assert_eq!(matches!(refused, Refused::Wrong), number < 3, "{refused:?}");
            }
            let refused = credentials.verify_key(&index, client("192.0.2.1"), &other).await.err();
            assert!(matches!(refused, Some(Refused::Limited { .. })), "{refused:?}");
        }
    });
}

#[test]
fn last_uses_that_could_not_be_stored_wait() {
    let credentials = Credentials::new(LIMITS);
    let at = Timestamp::from_unix_ms;
    credentials.put_back_last_used(&[(1, at(10)), (2, at(20))]);
    let mut taken: Vec<(u64, Timestamp)> = credentials.take_last_used().into_iter().collect();
    taken.sort();
    assert_eq!(taken, [(1, at(10)), (2, at(20))]);
    assert_eq!(credentials.last_used(1), None);
    // Used again meanwhile.
    credentials.put_back_last_used(&[(1, at(30))]);
    credentials.put_back_last_used(&taken);
    assert_eq!([1, 2].map(|key_id| credentials.last_used(key_id)), [Some(at(30)), Some(at(20))]);
}

#[test]
fn fingerprints_are_keyed_and_unambiguous() {
    let credentials = Credentials::new(LIMITS);
    assert_ne!(credentials.fingerprint(&[b"a", b"b"]), credentials.fingerprint(&[b"ab", b""]));
    assert_ne!(credentials.fingerprint(&[b"a"]), Credentials::new(LIMITS).fingerprint(&[b"a"]));
}
