//! Who calls: the one place that makes a [`Caller`], from the `Authorization` header and the right that a route asks for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use crate::api::error::ApiError;
use crate::api::request::Source;
use crate::app::App;
use crate::audit::{Who, api_key_subject, user_subject};
use crate::credentials::Refused;
use crate::domain::api_key::KeyText;
use crate::domain::audit_event::{CallerId, Subject};
use crate::domain::scope::{CONNECTORS_GET_SECRET_KEY, Right, RightSet};
use crate::domain::secret::Secret;
use crate::domain::timestamp::Timestamp;
use crate::store::{Index, Transaction};

/// Whoever is limited and asks again at once waits so long for each answer: a refusal costs hardly less than an answer,
/// and a connection that is kept waiting costs nothing.
const LIMITED_PAUSE: Duration = Duration::from_millis(500);

/// Somebody who was let in. Only this file makes one.
#[derive(Debug, Clone)]
pub struct Caller {
    user_id: u64,
    credential: Credential,
    /// The right that let the caller in.
    granted: Option<Right>,
    rights: RightSet,
    label: String,
}

/// What the caller signed in with.
#[derive(Debug, Clone, Copy)]
enum Credential {
    Password { revision: u64 },
    Key { key_id: u64 },
}

impl Caller {
    /// The current user: who signed in, or the owner of the key.
    pub fn user_id(&self) -> u64 {
        self.user_id
    }

    /// Everything that the caller may do.
    pub fn rights(&self) -> RightSet {
        self.rights
    }

    /// Lets the caller in to what the right is for.
    ///
    /// # Errors
    /// 403, naming the right.
    pub fn granted(self, right: Right) -> Result<Self, ApiError> {
        if self.rights.holds(right) {
            Ok(Self { granted: Some(right), ..self })
        } else {
            Err(ApiError::lacks(right))
        }
    }

    /// Makes a change, if the caller may still do it at that very moment: the key may have been revoked or the password
    /// changed since.
    ///
    /// # Errors
    /// As the function's own, as [`Caller::granted`], or that the change could not be stored.
    pub async fn commit<T, F>(&self, app: &App, change: F) -> Result<T, ApiError>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, ApiError> + Send + 'static,
        T: Send + 'static,
    {
        let caller = self.clone();
        let checked = move |transaction: &mut Transaction<'_>| {
            caller.check_still_granted(transaction.index())?;
            change(transaction)
        };
        app.store.commit(checked).await
    }

    /// Whether what let the caller in still does, as of this index: a body can arrive slowly, a list wait for its turn.
    ///
    /// # Errors
    /// 401, or 403 naming the right that was taken away.
    pub fn check_still_granted(&self, index: &Index) -> Result<(), ApiError> {
        let rights = match self.credential {
            Credential::Password { revision } => {
                let user = index.users().get(self.user_id).filter(|user| user.revision == revision);
                user.map(|_| RightSet::all())
            }
            Credential::Key { key_id } => {
                let key = index.api_keys().get(key_id).filter(|key| !key.is_expired(index.now()));
                key.map(|key| key.rights())
            }
        };
        let rights = rights.ok_or_else(ApiError::unauthorized)?;
        // Rights that were taken away since count as much as the one that let the caller in.
        match self.granted.filter(|right| !rights.holds(*right)) {
            Some(right) => Err(ApiError::lacks(right)),
            None if !rights.covers(self.rights) => Err(ApiError::unauthorized()),
            None => Ok(()),
        }
    }

    /// Whether secret keys and proxy passwords may be shown.
    pub fn sees_secrets(&self) -> bool {
        self.rights.holds(CONNECTORS_GET_SECRET_KEY)
    }

    /// When the caller's key ends, as of this index: that may have changed since the caller was let in. Keys that it makes
    /// end no later.
    pub fn expires_at(&self, index: &Index) -> Option<Timestamp> {
        match self.credential {
            Credential::Password { .. } => None,
            Credential::Key { key_id } => index.api_keys().get(key_id).and_then(|key| key.expires_at),
        }
    }

    /// What the caller signed in with.
    pub fn id(&self) -> CallerId {
        match self.credential {
            Credential::Password { .. } => CallerId::User(self.user_id),
            Credential::Key { key_id } => CallerId::Key(key_id),
        }
    }

    /// For the audit trail.
    pub fn who(&self, source: &Source) -> Who {
        let (caller, request_id) = (self.id(), source.request_id.clone());
        Who { caller, user_id: self.user_id, client: source.client, request_id }
    }

    /// For the log and the job queue: `user:1` or `key:7`.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// Lets a caller in who sends valid credentials. What the caller may do is checked by [`Caller::granted`].
///
/// # Errors
/// 401 without valid credentials, 429 after too many failures, 503 where they cannot be checked now.
pub async fn authenticate(app: &App, headers: &HeaderMap, source: &Source) -> Result<Caller, ApiError> {
    let outcome = look(app, headers, source).await;
    if outcome.as_ref().is_err_and(|error| error.status == StatusCode::TOO_MANY_REQUESTS) {
        tokio::time::sleep(LIMITED_PAUSE).await;
    }
    outcome
}

async fn look(app: &App, headers: &HeaderMap, source: &Source) -> Result<Caller, ApiError> {
    let index = app.store.snapshot();
    let refused = |refused: Refused, subject: Option<Subject>| {
        match refused {
            Refused::Wrong | Refused::Limited { .. } => {
                app.audit.count_refusal(source.client, &source.request_id, subject, index.now());
            }
            Refused::Busy => {}
        }
        ApiError::from(refused)
    };
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        // Nobody tried anything: browsers ask like this first.
        return Err(ApiError::unauthorized());
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let sent = text.and_then(Sent::parse);
    match sent.ok_or_else(|| refused(app.credentials.refuse(source.client, value.as_bytes()), None))? {
        Sent::Password { user, password } => {
            // Only a name that exists: people type passwords into the wrong field.
            let subject = || index.users().find(&user).map(|user| user_subject(user));
            let verified = app.credentials.verify_password(&index, source.client, &user, &password).await;
            let verified = verified.map_err(|reason| refused(reason, subject()))?;
            // That can take a while: what holds now counts.
            let index = app.store.snapshot();
            let current = index.users().get(verified.id).filter(|user| user.revision == verified.revision);
            let user = current.ok_or_else(ApiError::unauthorized)?;
            app.first_sign_in_worked().await;
            Ok(Caller {
                user_id: user.id,
                credential: Credential::Password { revision: user.revision },
                granted: None,
                rights: RightSet::all(),
                label: format!("user:{}", user.id),
            })
        }
        Sent::Key(text) => {
            let subject = || index.api_keys().find(text.lookup()).map(|key| api_key_subject(key));
            let verified = app.credentials.verify_key(&index, source.client, &text).await;
            let verified = verified.map_err(|reason| refused(reason, subject()))?;
            let index = app.store.snapshot();
            let current = index.api_keys().get(verified.id).filter(|key| !key.is_expired(index.now()));
            let key = current.ok_or_else(ApiError::unauthorized)?;
            Ok(Caller {
                user_id: key.user_id,
                credential: Credential::Key { key_id: key.id },
                granted: None,
                rights: key.rights(),
                label: format!("key:{}", key.id),
            })
        }
    }
}

/// What an `Authorization` header holds.
pub(super) enum Sent {
    Password { user: String, password: Secret },
    Key(KeyText),
}

impl Sent {
    pub(super) fn parse(value: &str) -> Option<Self> {
        match value.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => Self::parse_basic(rest.trim()),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => {
                KeyText::parse(rest.trim()).map(Sent::Key)
            }
            Some(_) => None,
            None => KeyText::parse(value).map(Sent::Key),
        }
    }

    /// RFC 7617: base64 of user, colon, password. Some clients leave the padding out.
    fn parse_basic(encoded: &str) -> Option<Self> {
        let decoded =
            STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).map(Zeroizing::new).ok()?;
        let text = std::str::from_utf8(&decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Sent::Password { user: user.to_owned(), password: Secret::new(password.to_owned()) })
    }
}
